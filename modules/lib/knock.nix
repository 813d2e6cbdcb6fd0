# Single-packet authorisation from the site (E2): fwknopd's two files. The second holds keys, so here are only its parts around them.
{ lib }:
let
  inherit (builtins) attrNames filter map;
  inherit (lib) base;
in
{
  fromSite =
    site: host:
    let
      meshes = lib.vpn.fromSite site host;
      entrances = filter (name: meshes.${name}.persons != [ ]) (attrNames meshes);
    in
    {
      inherit (site.knock) port;
      open = lib.seconds site.knock.open;
      # The ports that a knock opens.
      ports = base.unique (map (name: meshes.${name}.port) entrances);
      persons = base.unique (builtins.concatMap (name: meshes.${name}.persons) entrances);
    };

  # fwknopd.conf: a UDP socket instead of a capture of all packets, so that it needs no right to see other traffic.
  daemonText =
    { port, folder }:
    base.lines [
      "# From the site file; a change there changes this file."
      "ENABLE_UDP_SERVER Y;"
      "UDPSERV_PORT ${toString port};"
      "ENABLE_SPA_PACKET_AGING Y;"
      "MAX_SPA_PACKET_AGE 120;"
      "ENABLE_DIGEST_PERSISTENCE Y;"
      "FWKNOP_RUN_DIR ${folder.run};"
      "FWKNOP_PID_FILE ${folder.run}/fwknopd.pid;"
      "DIGEST_FILE ${folder.state}/digest.cache;"
    ];

  # A person's stanza of access.conf; the lines with the keys come from the person's key file and go before it. The filter's set forgets
  # the address by itself, so nothing is left to close.
  accessText =
    {
      ports,
      open,
      nft,
    }:
    base.lines [
      "REQUIRE_SOURCE_ADDRESS Y"
      "OPEN_PORTS ${builtins.concatStringsSep "," (map (port: "udp/${toString port}") ports)}"
      "CMD_CYCLE_OPEN ${nft} add element inet chasqui knocked { $SRC timeout ${toString open}s }"
      "CMD_CYCLE_CLOSE NONE"
      "CMD_CYCLE_TIMER ${toString open}"
    ];
}
