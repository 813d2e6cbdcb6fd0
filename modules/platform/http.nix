# The HTTP tier (E6): redirects and static content, for reverse proxies only. What it serves derives from the site: policies of MTA-STS, and
# the settings that mail programs look for.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.http;
  web = config.chasqui.web;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  hasRole = lib.elem "http" config.chasqui.roles;
  derived = chasquiLib.nginx.httpFromSite site host;
  derive = name: fallback: {
    default = if hasRole then derived.${name} else fallback;
    defaultText = lib.literalMD "from the site file";
  };
  folder = "chasqui/http";
  securityTxt = name: ''
    Contact: mailto:${cfg.securityTxt.contact}
    Expires: ${cfg.securityTxt.expires}
    Canonical: https://${name}/.well-known/security.txt
  '';
  files = lib.mapAttrs (
    name: own:
    own
    // lib.optionalAttrs (cfg.securityTxt.contact != null) {
      "/.well-known/security.txt" = securityTxt name;
    }
  ) cfg.files;
in
{
  imports = [ ./web.nix ];

  options.chasqui.http = {
    enable = mkOption {
      type = types.bool;
      default = hasRole;
      defaultText = lib.literalMD "whether the site file gives this host the role `http`";
      description = "Whether this host is in the HTTP tier (E6).";
    };

    addresses = mkOption (
      {
        type = types.listOf types.str;
        description = "Where it listens: the host's addresses towards the reverse proxies.";
      }
      // derive "addresses" [ ]
    );
    port = mkOption {
      type = types.port;
      default = chasquiLib.nginx.port;
      description = "The port where it listens.";
    };
    clients = mkOption (
      {
        type = types.listOf types.str;
        description = "The common names of the reverse proxies' certificates. Nobody else is answered (E19).";
      }
      // derive "clients" [ ]
    );
    proxyAddresses = mkOption (
      {
        type = types.listOf types.str;
        description = "The reverse proxies' addresses: what they say about a client's address is believed.";
      }
      // derive "proxyAddresses" [ ]
    );
    files = mkOption (
      {
        type = types.attrsOf (types.attrsOf types.lines);
        description = "Texts by the name and the path that they are served under. The types are those of the endings `.txt`, `.xml`, `.html`, `.css` and `.svg`.";
        example = {
          "mta-sts.correo.example"."/.well-known/mta-sts.txt" = "version: STSv1\n…";
        };
      }
      // derive "files" { }
    );
    redirects = mkOption (
      {
        type = types.attrsOf (types.strMatching "https://[^ \"]*[^/ \"]");
        description = "Where requests for a name are sent; the path is kept.";
        example = {
          "www.correo.example" = "https://correo.example";
        };
      }
      // derive "redirects" { }
    );
    securityTxt = {
      contact = mkOption {
        type = types.nullOr (types.strMatching "[^@ ]+@[^@ ]+");
        default = null;
        description = "Whom to tell about a weakness (RFC 9116). Default: the file is not served, since it must be looked after.";
      };
      expires = mkOption {
        type = types.nullOr (types.strMatching "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z");
        default = null;
        example = "2027-12-31T00:00:00Z";
        description = "Until when that is right (RFC 9116 §2.5.5), less than a year ahead.";
      };
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.addresses != [ ];
        message = "chasqui.http.addresses: there is none to listen on; give the host an address in a service network.";
      }
      {
        assertion = cfg.clients != [ ];
        message = "chasqui.http.clients: nobody may ask this host anything; give a host of the site file the role `reverse-proxy'.";
      }
      {
        assertion = cfg.securityTxt.contact == null || cfg.securityTxt.expires != null;
        message = "chasqui.http.securityTxt.expires: security.txt must say until when it is right; set a date less than a year ahead, such as 2027-12-31T00:00:00Z.";
      }
    ]
    ++ lib.concatLists (
      lib.mapAttrsToList (
        name:
        lib.mapAttrsToList (
          path: _: {
            assertion = lib.hasPrefix "/" path && !(lib.hasInfix ".." path);
            message = "chasqui.http.files.\"${name}\".\"${path}\": a path begins with / and goes nowhere up.";
          }
        )
      ) cfg.files
    );

    environment.etc = lib.concatMapAttrs (
      name: own:
      lib.mapAttrs' (path: text: lib.nameValuePair "${folder}/${name}${path}" { inherit text; }) own
    ) files;

    services.nginx.appendHttpConfig = lib.mkAfter (
      chasquiLib.nginx.http {
        inherit (web) credentials;
        root = "/etc/${folder}";
        inherit files;
        inherit (cfg)
          addresses
          clients
          port
          proxyAddresses
          redirects
          ;
      }
    );

    chasqui = {
      openings.http = {
        tcp = [ cfg.port ];
        from = cfg.proxyAddresses;
      };
      healthChecks.http.port = cfg.port;
    };
  };
}
