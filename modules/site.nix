# Which site file, and which of its hosts this is. Without a site file every module can be used by itself.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  cfg = config.chasqui;
  site = cfg.site.data;
  # Refused here rather than by an assertion: every default of every module asks the site for this host.
  loaded =
    let
      data = chasquiLib.load cfg.site.file;
    in
    if cfg.host != null && data.hosts ? ${cfg.host} then
      data
    else
      throw "chasqui.host: `${toString cfg.host}' is not a host of the site file; set it to one of: ${lib.concatStringsSep ", " (lib.attrNames data.hosts)}.";
in
{
  options.chasqui = {
    site.file = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = lib.literalExpression "./site.toml";
      description = "The site file (E18). From it derive the defaults of all other options of Chasqui. Without one nothing is derived.";
    };

    site.data = lib.mkOption {
      type = lib.types.raw;
      readOnly = true;
      default = if cfg.site.file == null then null else loaded;
      defaultText = lib.literalExpression "chasquiLib.load config.chasqui.site.file";
      description = "What the site file says, checked, with every default filled in; null without a site file.";
    };

    host = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "correo";
      description = "The name of this host in the site file.";
    };

    roles = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      readOnly = true;
      default = if site != null then site.hosts.${cfg.host}.roles else [ ];
      defaultText = lib.literalMD "from the site file";
      description = "The roles that the site file gives this host; each enables its module.";
    };
  };

  config._module.args.chasquiLib = import ./lib;
}
