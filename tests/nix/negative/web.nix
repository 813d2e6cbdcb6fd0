# The web tiers (E5, E6).
{
  lab,
  change,
  ...
}:
let
  key = "/nix/store/00000000000000000000000000000000-privkey.pem";
in
[
  {
    name = "a reverse proxy with nothing to serve is refused";
    site = change lab {
      publish.web = null;
      domains."correo.gob.example".mta_sts = "none";
    };
    host = "web1";
    fails = "chasqui.reverseProxy.names: there is nothing to serve";
  }
  {
    name = "a reverse proxy with no HTTP tier behind it is refused";
    site = change lab {
      hosts.web1.roles = [ "reverse-proxy" ];
      hosts.web2.roles = [ "reverse-proxy" ];
    };
    host = "web1";
    fails = "chasqui.reverseProxy.servers: there is no HTTP tier behind it";
  }
  {
    name = "an HTTP tier that is drained to the last server is refused";
    site = change lab {
      hosts.web1.drain = true;
      hosts.web2.drain = true;
    };
    host = "web2";
    fails = "chasqui.reverseProxy.servers: every server is drained";
  }
  {
    name = "a public key pair in the store is refused";
    site = change lab { secrets.public_key = key; };
    host = "web1";
    fails = "chasqui.reverseProxy.key: ${key} is in the Nix store";
  }
  {
    name = "a host's private key in the store is refused";
    host = "web1";
    modules = [ { chasqui.web.tls.key = key; } ];
    fails = "chasqui.web.tls: a path lies in the Nix store";
  }
  {
    name = "an HTTP tier that nobody may ask is refused";
    site = change lab {
      hosts.web1.roles = [ "http" ];
      hosts.web2.roles = [ "http" ];
    };
    host = "web1";
    fails = "chasqui.http.clients: nobody may ask this host anything";
  }
  {
    name = "an HTTP tier without an address is refused";
    site = null;
    modules = [ { chasqui.http.enable = true; } ];
    fails = "chasqui.http.addresses: there is none to listen on";
  }
  {
    name = "a security.txt without an end is refused";
    host = "web2";
    modules = [ { chasqui.http.securityTxt.contact = "guardia@correo.gob.example"; } ];
    fails = "chasqui.http.securityTxt.expires: security.txt must say until when it is right";
  }
  {
    name = "a path that leaves its folder is refused";
    host = "web2";
    modules = [ { chasqui.http.files."correo.gob.example"."/../key" = "x"; } ];
    fails = "chasqui.http.files.\"correo.gob.example\".\"/../key\": a path begins with /";
  }
  {
    name = "a redirect that is not to TLS is refused";
    host = "web2";
    modules = [ { chasqui.http.redirects."www.correo.gob.example" = "http://correo.gob.example"; } ];
    fails = "chasqui.http.redirects";
  }
]
