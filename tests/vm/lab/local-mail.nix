# A storage node whose mail lies on a disk of its own machine, for tests that are not about arrays.
{ lib, ... }:
{
  virtualisation.emptyDiskImages = [ 2048 ];
  chasqui.storageClient.volumes.mail = {
    lun = lib.mkForce null;
    device = lib.mkForce "/dev/vdb";
  };
}
