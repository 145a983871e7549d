"""Which network addresses may be called: never metadata services, private ones if allowed.

Not `ipaddress.is_global`: it takes NAT64 and 6to4 of loopback for global, and its answers differ
between releases of Python.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_Address = IPv4Address | IPv6Address

_METADATA = (
    "169.254.0.0/16", "fe80::/10",  # link-local: AWS, GCP, Azure, OpenStack
    "fd00:ec2::/32", "fd20:ce::254/128",  # AWS and GCP on IPv6
    "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32",  # Alibaba, Oracle, Azure
)  # fmt: skip
_NOBODY = ("224.0.0.0/4", "240.0.0.0/4", "ff00::/8")  # multicast, reserved, broadcast
# The special-purpose registries of IANA, and what is no global unicast on IPv6.
_PRIVATE_4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24",
)  # fmt: skip
_PRIVATE_6 = ("2001::/23", "2001:db8::/32", "3fff::/20")

_FORBIDDEN = tuple(map(ip_network, _METADATA + _NOBODY))
_PRIVATE = tuple(map(ip_network, _PRIVATE_4 + _PRIVATE_6))
_GLOBAL_6 = ip_network("2000::/3")
_TRANSLATED = ip_network("64:ff9b::/96")

# Where an IPv6 address holds an IPv4 one: the network, and how far from the right.
_EMBEDDED = tuple(
    (ip_network(network), shift)
    for network, shift in (
        ("::/96", 0), ("::ffff:0:0/96", 0), ("::ffff:0:0:0/96", 0),  # compatible, mapped, SIIT
        ("64:ff9b::/96", 0), ("64:ff9b:1::/48", 0), ("2002::/16", 80),  # NAT64, 6to4
    )
)  # fmt: skip
_TEREDO = ip_network("2001::/32")


def refusal(text: str, *, allow_private: bool = False) -> str | None:
    """Why an address, as a socket takes it, may not be called; None if it may.

    Whatever it wraps counts as well: the IPv4 address of a mapped, NAT64, 6to4, Teredo or ISATAP
    one. Metadata services stay forbidden where private addresses are allowed.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return "not a well-formed IP address"
    meant = (address, *_wrapped(address))
    if any(each in network for each in meant for network in _FORBIDDEN):
        return "a link-local, metadata-service or reserved address"
    if not allow_private and any(_is_private(each) for each in meant):
        return "a private address (set allow_private = true to allow it)"
    return None


def _wrapped(address: _Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    bits = int(address)
    # ::1 and :: are loopback and "any", not an old IPv4 in disguise.
    found = [bits >> shift for network, shift in _EMBEDDED if address in network and bits > 1]
    if address in _TEREDO:
        found += [bits >> 64, ~bits]
    if bits >> 32 & 0xFDFF_FFFF == 0x5EFE:  # ISATAP
        found.append(bits)
    return [IPv4Address(each & 0xFFFF_FFFF) for each in found]


def _is_private(address: _Address) -> bool:
    # NAT64 is as public as what it translates, which is checked by itself.
    odd = isinstance(address, IPv6Address) and address not in _GLOBAL_6
    return (odd and address not in _TRANSLATED) or any(address in net for net in _PRIVATE)
