# IP addresses and prefixes of both families.
{ base }:
let
  inherit (builtins)
    elemAt
    genList
    head
    length
    map
    match
    ;
  isIPv6 = text: match ".*:.*" text != null;
  family = text: if isIPv6 text then 6 else 4;

  # An address as numbers: four of 8 bits, or eight of 16.
  units =
    text:
    if isIPv6 text then
      let
        halves = base.splitOn "::" text;
        groups = half: if half == "" then [ ] else map base.fromHex (base.splitOn ":" half);
        front = groups (head halves);
        back = if length halves == 2 then groups (elemAt halves 1) else [ ];
      in
      front ++ genList (_: 0) (8 - length front - length back) ++ back
    else
      map base.toInt (base.splitOn "." text);

  parse =
    prefix:
    let
      parts = base.splitOn "/" prefix;
      address = head parts;
      width = if isIPv6 address then 16 else 8;
    in
    {
      inherit address width;
      length =
        if length parts == 2 then base.toInt (elemAt parts 1) else width * (if width == 16 then 8 else 4);
    };

  # The bits of a unit that lie under a prefix of `length` bits, for the unit at position `i`.
  masked =
    width: length: i: value:
    let
      bits = length - i * width;
    in
    if bits >= width then
      value
    else if bits <= 0 then
      0
    else
      value - mod value (base.pow2 (width - bits));
  mod = a: b: a - b * (a / b);
in
{
  inherit isIPv6 family;

  # The bits of a prefix: 24 of `10.0.0.0/24`.
  prefixLength = prefix: (parse prefix).length;

  # Whether an address lies in a prefix.
  contains =
    prefix: address:
    let
      p = parse prefix;
    in
    family p.address == family address
    &&
      base.imap0 (masked p.width p.length) (units p.address)
      == base.imap0 (masked p.width p.length) (units address);
}
