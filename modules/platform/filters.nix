# ClamAV and SpamAssassin beside each exchanger, by NixOS' own modules (E14). Neither protocol has TLS, so each listens on the host alone (E19).
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.filters;
  site = config.chasqui.site.data;
  wanted = filter: site != null && site.filters.${filter} && lib.elem "mx" config.chasqui.roles;
  enable =
    filter: what:
    mkOption {
      type = types.bool;
      default = wanted filter;
      defaultText = lib.literalMD "whether the site file says `filters.${filter}` and gives this host the role `mx`";
      description = "Whether to run ${what} for this host's exchanger.";
    };
  # What it is told must fit what the exchanger gives it.
  messages = 25;
in
{
  imports = [
    ./resolver.nix
    ../services/mx.nix
    ../services/storage.nix
  ];

  options.chasqui.filters = {
    clamav = {
      enable = enable "clamav" "ClamAV, with its signatures kept up to date,";
      threads = mkOption {
        type = types.ints.positive;
        default = 12;
        description = "Messages that it reads at once; more than the exchanger gives it (`filter.content.clamav.connections`).";
      };
    };

    spamassassin = {
      enable = enable "spamassassin" "SpamAssassin, with its rules kept up to date,";
      config = mkOption {
        type = types.lines;
        default = "";
        example = "score BAYES_99 4.0";
        description = "Further lines of its configuration, `local.cf`.";
      };
    };
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.clamav.enable {
      services.clamav = {
        daemon = {
          enable = true;
          settings = {
            MaxThreads = cfg.clamav.threads;
            StreamMaxLength = "${toString (messages + 5)}M";
            MaxScanSize = "${toString (4 * messages)}M";
            MaxFileSize = "${toString (messages + 5)}M";
            # The signatures stand in memory once, also while they are read anew.
            ConcurrentDatabaseReload = false;
          };
        };
        updater.enable = true;
      };
      systemd.services.chasqui-mx = lib.mkIf config.services.chasqui.mx.enable {
        after = [ "clamav-daemon.service" ];
      };
      services.chasqui.mx.settings.filter.content.clamav.address =
        lib.mkDefault "unix:/run/clamav/clamd.ctl";
    })

    (lib.mkIf cfg.spamassassin.enable {
      services.spamassassin = {
        enable = true;
        config = ''
          # What is spam; the exchanger files it into Junk.
          required_score 5.0
          # The exchanger writes the result into the header itself.
          report_safe 0
          dns_available yes
          dns_server [127.0.0.1]:${toString config.chasqui.resolver.port}
          use_bayes 1
          bayes_auto_learn 1
          ${cfg.spamassassin.config}
        '';
      };
      services.chasqui.mx.settings.filter.content.spamassassin.address = lib.mkDefault "127.0.0.1:783";
      # Where the mailboxes are on the same host, what users move into Junk and out of it is learnt. Elsewhere spamd cannot be reached.
      services.chasqui.storage.settings.junk_training = lib.mkIf config.services.chasqui.storage.enable (
        lib.mapAttrs (_: lib.mkDefault) (
          lib.genAttrs [ "spam" "ham" ] (kind: [
            (lib.getExe' pkgs.spamassassin "spamc")
            "-L"
            kind
            "-u"
            "{user}"
          ])
        )
      );
    })
  ];
}
