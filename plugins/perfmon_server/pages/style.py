"""The style sheet of the overview page: light and dark, one column on a phone."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #f6f7f9; --card: #fff; --line: #dde1e6;
  --soft: #5a6572; --good: #14804a; --fair: #946300; --poor: #c3281f; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ec; --paper: #101316; --card: #191d21;
  --line: #2d333a; --soft: #9aa5b1; --good: #46c28a; --fair: #e3b341; --poor: #ff7b72;
  --link: #79b8ff; } }
* { box-sizing: border-box; margin: 0; }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 74rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
header { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem; }
h1 { font-size: 1.125rem; }
nav a { margin-left: 1rem; }
a { color: var(--link); }
h2 { font-size: .8125rem; font-weight: 600; color: var(--soft); }
section { margin-top: 1.5rem; }
section > h2 { font-size: 1rem; color: var(--ink); margin-bottom: .5rem; }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); }
.tile, .alerts li, .wide, pre { background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; }
.tile { padding: .75rem 1rem; overflow-wrap: anywhere; }
.value { font-size: 1.75rem; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.soft, .idle td, .idle th, footer { color: var(--soft); }
.tile .soft, .trend, th .soft, td .soft { font-size: .8125rem; }
.good, .improving { color: var(--good); } .fair { color: var(--fair); }
.poor, .degrading { color: var(--poor); } .stable { color: var(--soft); }
.alerts { list-style: none; padding: 0; display: grid; gap: .5rem; }
.alerts li { padding: .6rem 1rem; border-left: .25rem solid var(--soft);
  overflow-wrap: anywhere; }
.alerts .critical { border-left-color: var(--poor); }
.alerts .warning { border-left-color: var(--fair); }
.critical strong { color: var(--poor); } .warning strong { color: var(--fair); }
.mark { font-size: .8125rem; border: 1px solid var(--line); border-radius: .25rem;
  padding: 0 .35rem; }
h3 { font-size: .8125rem; font-weight: 600; color: var(--soft); margin: .75rem 0 .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem 1rem; text-align: right; white-space: nowrap; font-weight: 400; }
thead th { color: var(--soft); font-size: .8125rem; }
tbody tr { border-top: 1px solid var(--line); }
th:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 12rem; }
tbody th { font-weight: 500; }
pre { padding: .75rem 1rem; margin-top: .5rem; overflow-x: auto; }
footer { margin-top: 1.5rem; font-size: .8125rem; }
"""
