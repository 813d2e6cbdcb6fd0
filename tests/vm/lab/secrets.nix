# Everything that people bring to the hosts by hand, made for the tests: `every/` is for each host, `HOST/` for one. Certificates are issued
# by the very commands that docs/operation.md gives to operators (modules/lib/pki.nix).
{
  chasqui,
  chasquiLib,
  pkgs,
  site,
}:
let
  inherit (builtins) attrNames concatStringsSep map;
  lines = concatStringsSep "\n";
  public = builtins.concatMap (entry: entry.names) (builtins.attrValues site.publish);
in
pkgs.runCommand "lab-secrets"
  {
    nativeBuildInputs = [
      pkgs.bind
      chasqui
    ];
  }
  ''
    umask 077
    ${chasquiLib.pki.commands site}
    chasqui pki issue pki public --host ${concatStringsSep "," public}

    mkdir -p "$out/every/public" "$out/every/pki" "$out/every/secrets/chap" "$out/every/secrets/database"
    chasqui pki keys "$out/every/directory.keys"
    cp pki/ca.crt "$out/every/pki/ca.crt"
    cp pki/public.crt "$out/every/public/fullchain.pem"
    cp pki/public.key "$out/every/public/privkey.pem"
    if [ -d dns ]; then cp -r dns "$out/every/secrets/dns"; fi
    echo VRRP_PASSWORD=prueba01 > "$out/every/secrets/vrrp"
    echo prueba-superusuario > "$out/every/secrets/database/superuser"
    echo prueba-replicacion > "$out/every/secrets/database/replication"
    ${lines (
      map (lun: "echo '${lun} secreto-de-${lun}' > \"$out/every/secrets/chap/${lun}\"") (
        attrNames site.luns
      )
    )}
    ${lines (
      map (host: ''
        mkdir -p "$out/${host}/pki"
        cp pki/${host}.crt pki/${host}.key "$out/${host}/pki/"
      '') (attrNames site.hosts)
    )}
  ''
