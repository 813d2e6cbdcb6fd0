# When monitoring calls somebody about certificates (E19): on every host.
{
  alerts = [
    {
      name = "CertificateEndsSoon";
      expr = "chasqui_certificate_ends_timestamp_seconds - time() < 30 * 86400";
      for = "1h";
      severity = "warning";
      summary = "The {{ $labels.kind }} certificate of {{ $labels.host }} ends within 30 days: issue it again.";
    }
    {
      name = "CertificateEnds";
      expr = "chasqui_certificate_ends_timestamp_seconds - time() < 3 * 86400";
      for = "10m";
      severity = "critical";
      summary = "The {{ $labels.kind }} certificate of {{ $labels.host }} ends within three days: issue it again now.";
    }
    {
      name = "CertificateWrong";
      expr = "chasqui_certificate_good == 0";
      for = "10m";
      severity = "critical";
      summary = "The {{ $labels.kind }} certificate of {{ $labels.host }} is not what the site needs: systemctl status chasqui-pki-check";
    }
  ];
}
