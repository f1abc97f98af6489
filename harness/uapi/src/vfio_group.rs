//! `linux/vfio.h`: structures and ioctls of `/dev/vfio/$GROUP`.

use crate::VFIO_H;
use crate::constants::*;
use crate::types::Kind::*;

structs! { STRUCTS in VFIO_H;
    GROUP_STATUS = struct vfio_group_status, 8 {
        argsz: u32 In, Size;
        flags: u32 Out, Flags(GROUP_FLAGS);
    }
}

ioctls! { IOCTLS in VFIO_H;
    VFIO_GROUP_GET_STATUS = 103, Group, GROUP_STATUS from "flags";
    VFIO_GROUP_SET_CONTAINER = 104, Group, int;
    VFIO_GROUP_UNSET_CONTAINER = 105, Group, none;
    VFIO_GROUP_GET_DEVICE_FD = 106, Group, string;
}
