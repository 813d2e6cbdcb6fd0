# When monitoring calls somebody about a directory provider (E11).
{
  alerts = [
    {
      name = "LdapDown";
      expr = ''node_systemd_unit_state{name="openldap.service",state="active"} == 0'';
      for = "2m";
      severity = "critical";
      summary = "OpenLDAP does not run on {{ $labels.host }}; the other providers answer meanwhile.";
    }
  ];
}
