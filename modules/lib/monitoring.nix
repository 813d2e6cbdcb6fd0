# Which pages Prometheus reads and which alerts it raises: from `ROLE.metrics.nix` beside each module, so that a service that is added brings
# its own. Files that are named for no role (node, pki, …) hold for every host.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    filter
    map
    readDir
    toJSON
    ;

  folders = [
    ../services
    ../platform
  ];
  suffix = ".metrics.nix";
  # The defaults of `chasqui.metrics` (modules/registry.nix).
  withDefaults =
    page:
    {
      path = "/metrics";
      scheme = "http";
      loopback = true;
    }
    // page
    // {
      alerts = map (
        alert:
        {
          for = "5m";
          severity = "warning";
        }
        // alert
      ) (page.alerts or [ ]);
    };
  # Job name → what its file says.
  pages = builtins.listToAttrs (
    concatMap (
      folder:
      map (file: {
        name = lib.removeSuffix suffix file;
        value = withDefaults (import (folder + "/${file}"));
      }) (filter (lib.hasSuffix suffix) (attrNames (readDir folder)))
    ) folders
  );
  # Every role that a site file may name.
  roles = map (role: role.const) schemaRoles;
  schemaRoles = (builtins.fromJSON (builtins.readFile ./site.schema.json))."$defs".Role.oneOf;

  hostsOf = site: job: if builtins.elem job roles then lib.hostsWith site job else lib.hosts site;
  rule = alert: ''
    - alert: ${alert.name}
      expr: ${toJSON alert.expr}
      for: ${alert.for}
      labels: { severity: ${alert.severity} }
      annotations: { summary: ${toJSON alert.summary} }
  '';
  indented =
    text:
    lib.concatMapStrings (line: if line == "" then "" else "      ${line}\n") (lib.splitOn "\n" text);
in
{
  inherit pages;

  # The jobs of a site, each with the hosts that serve its page.
  jobs =
    site:
    concatMap (
      job:
      let
        page = pages.${job};
      in
      lib.optional (page ? port && hostsOf site job != [ ]) {
        name = job;
        inherit (page) port path;
        targets = map (host: {
          inherit host;
          address = "${lib.fqdn site host}:${toString page.port}";
          datacenter = lib.datacenterOf site host;
        }) (hostsOf site job);
      }
    ) (attrNames pages);

  # The jobs of one host whose pages are served on its loopback only.
  forwarded =
    site: host:
    filter (page: page ? port && page.loopback && builtins.elem host (hostsOf site page.name)) (
      lib.mapAttrsToList (name: page: page // { inherit name; }) pages
    );

  # Alert rules of what the site has, as Prometheus reads them.
  rules =
    site:
    ''
      # From the *.metrics.nix beside each module.
      groups:
    ''
    + lib.concatMapStrings (
      job:
      lib.optionalString (pages.${job}.alerts != [ ] && hostsOf site job != [ ]) ''
        ${"  "}- name: ${job}
        ${"  "}  rules:
        ${indented (lib.concatMapStrings rule pages.${job}.alerts)}''
    ) (attrNames pages);

  # Who is told: mail to the addresses of the site, through its own exchangers.
  alertmanager =
    {
      receivers,
      sender,
      smarthost,
      serverName,
      hostname,
    }:
    {
      global = {
        smtp_from = sender;
        smtp_smarthost = smarthost;
        smtp_hello = hostname;
        smtp_require_tls = true;
      };
      route = {
        receiver = "operators";
        group_by = [ "alertname" ];
        group_wait = "30s";
        group_interval = "5m";
        repeat_interval = "4h";
        routes = [
          {
            matchers = [ ''severity="critical"'' ];
            receiver = "operators";
            group_wait = "10s";
            repeat_interval = "1h";
          }
        ];
      };
      # When a host is down, what it serves need not be told too.
      inhibit_rules = [
        {
          source_matchers = [ ''alertname="HostDown"'' ];
          target_matchers = [ ''alertname!="HostDown"'' ];
          equal = [ "host" ];
        }
      ];
      receivers = [
        {
          name = "operators";
          email_configs = map (address: {
            to = address;
            send_resolved = true;
            tls_config.server_name = serverName;
          }) receivers;
        }
      ];
    };
}
