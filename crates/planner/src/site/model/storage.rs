//! Volumes, arrays and what they export (E12).

use chasqui_base::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A logical volume in a volume group of the same name.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// The LUN that it lies on, or
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ref" = "luns"))]
    pub lun: Option<String>,
    /// the local block device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Where it is mounted. Absent for the volume group `guests`, which holds the guests' disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// Its file system. Default `ext4`.
    #[serde(default)]
    pub filesystem: Filesystem,
}

/// A file system (E12).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// ext4.
    #[default]
    Ext4,
    /// btrfs.
    Btrfs,
}

/// A disk array: RAID 6 groups, striped (RAID 6+0), with an SSD cache in front (E12).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Array {
    /// The host that runs it, then the one that is cabled to the same drives and can take over.
    #[schemars(extend("x-ref" = "hosts"))]
    pub controllers: Vec<String>,
    /// RAID 6 groups.
    pub groups: u32,
    /// Drives of a group, two of them for parity. Default 10.
    #[serde(default = "group_size")]
    pub group_size: u32,
    /// Octets of a drive.
    pub drive_size: ByteSize,
    /// The drives' block devices: `{}` stands for the number, from 0, groups first, then spares.
    pub drives: String,
    /// Spare drives. Default 0.
    #[serde(default)]
    pub spares: u32,
    /// The SSDs in front of the drives, mirrored in pairs. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

fn group_size() -> u32 {
    10
}

/// The SSDs in front of an array, mirrored in pairs.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// How many, an even number.
    pub count: u32,
    /// Octets of each.
    pub size: ByteSize,
    /// Their block devices: `{}` stands for the number, from 0.
    pub drives: String,
}

/// A part of an array, exported over iSCSI.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Lun {
    /// The array.
    #[schemars(extend("x-ref" = "arrays"))]
    pub array: String,
    /// Its octets.
    pub size: ByteSize,
}
