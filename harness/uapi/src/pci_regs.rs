//! `linux/pci_regs.h`: the offsets and bits of configuration space that cases use.

constants! { ALL;
    HEADER in PCI_REGS_H "PCI_" {
        PCI_VENDOR_ID = 0x00,
        PCI_DEVICE_ID = 0x02,
        PCI_COMMAND = 0x04,
        PCI_STATUS = 0x06,
        PCI_REVISION_ID = 0x08,
        PCI_CLASS_DEVICE = 0x0a,
        PCI_CACHE_LINE_SIZE = 0x0c,
        PCI_LATENCY_TIMER = 0x0d,
        PCI_HEADER_TYPE = 0x0e,
        PCI_BIST = 0x0f,
        PCI_BASE_ADDRESS_0 = 0x10,
        PCI_BASE_ADDRESS_1 = 0x14,
        PCI_BASE_ADDRESS_2 = 0x18,
        PCI_BASE_ADDRESS_3 = 0x1c,
        PCI_BASE_ADDRESS_4 = 0x20,
        PCI_BASE_ADDRESS_5 = 0x24,
        PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
        PCI_SUBSYSTEM_ID = 0x2e,
        PCI_ROM_ADDRESS = 0x30,
        PCI_CAPABILITY_LIST = 0x34,
        PCI_INTERRUPT_LINE = 0x3c,
        PCI_INTERRUPT_PIN = 0x3d,
        PCI_STD_HEADER_SIZEOF = 64,
        PCI_CFG_SPACE_SIZE = 256,
        PCI_CFG_SPACE_EXP_SIZE = 4096,
    };
    COMMAND_BITS in PCI_REGS_H "PCI_COMMAND_" {
        PCI_COMMAND_IO = 0x1,
        PCI_COMMAND_MEMORY = 0x2,
        PCI_COMMAND_MASTER = 0x4,
        PCI_COMMAND_PARITY = 0x40,
        PCI_COMMAND_SERR = 0x100,
        PCI_COMMAND_INTX_DISABLE = 0x400,
    };
    STATUS_BITS in PCI_REGS_H "PCI_STATUS_" {
        PCI_STATUS_INTERRUPT = 0x08,
        PCI_STATUS_CAP_LIST = 0x10,
    };
    BAR_BITS in PCI_REGS_H "PCI_BASE_ADDRESS_" {
        PCI_BASE_ADDRESS_SPACE_IO = 0x01,
        PCI_BASE_ADDRESS_MEM_TYPE_64 = 0x04,
        PCI_BASE_ADDRESS_MEM_PREFETCH = 0x08,
    };
    ROM_BITS in PCI_REGS_H "PCI_ROM_" {
        PCI_ROM_ADDRESS_ENABLE = 0x01,
    };
    CAPABILITY_IDS in PCI_REGS_H "PCI_CAP_ID_" {
        PCI_CAP_ID_PM = 0x01,
        PCI_CAP_ID_VPD = 0x03,
        PCI_CAP_ID_MSI = 0x05,
        PCI_CAP_ID_VNDR = 0x09,
        PCI_CAP_ID_EXP = 0x10,
        PCI_CAP_ID_MSIX = 0x11,
        PCI_CAP_ID_SATA = 0x12,
        PCI_CAP_ID_AF = 0x13,
    };
    EXTENDED_CAPABILITY_IDS in PCI_REGS_H "PCI_EXT_CAP_ID_" {
        PCI_EXT_CAP_ID_ERR = 0x01,
        PCI_EXT_CAP_ID_DSN = 0x03,
        PCI_EXT_CAP_ID_ARI = 0x0e,
        PCI_EXT_CAP_ID_ATS = 0x0f,
        PCI_EXT_CAP_ID_SRIOV = 0x10,
        PCI_EXT_CAP_ID_DVSEC = 0x23,
        PCI_EXT_CAP_ID_DOE = 0x2e,
    };
    PM_REGISTERS in PCI_REGS_H "PCI_PM_" {
        PCI_PM_PMC = 2,
        PCI_PM_CTRL = 4,
        PCI_PM_CAP_PME_MASK = 0xf800,
        PCI_PM_CTRL_STATE_MASK = 0x0003,
        PCI_PM_CTRL_NO_SOFT_RESET = 0x0008,
        PCI_PM_CTRL_PME_ENABLE = 0x0100,
        PCI_PM_CTRL_PME_STATUS = 0x8000,
    };
    MSI_REGISTERS in PCI_REGS_H "PCI_MSI_" {
        PCI_MSI_FLAGS = 0x02,
        PCI_MSI_FLAGS_ENABLE = 0x0001,
        PCI_MSI_FLAGS_QMASK = 0x000e,
        PCI_MSI_FLAGS_QSIZE = 0x0070,
        PCI_MSI_FLAGS_64BIT = 0x0080,
        PCI_MSI_FLAGS_MASKBIT = 0x0100,
        PCI_MSI_ADDRESS_LO = 0x04,
        PCI_MSI_ADDRESS_HI = 0x08,
        PCI_MSI_DATA_64 = 0x0c,
    };
    MSIX_REGISTERS in PCI_REGS_H "PCI_MSIX_" {
        PCI_MSIX_FLAGS = 2,
        PCI_MSIX_FLAGS_QSIZE = 0x07ff,
        PCI_MSIX_FLAGS_MASKALL = 0x4000,
        PCI_MSIX_FLAGS_ENABLE = 0x8000,
        PCI_MSIX_TABLE = 4,
        PCI_MSIX_PBA = 8,
    };
    EXP_REGISTERS in PCI_REGS_H "PCI_EXP_" {
        PCI_EXP_FLAGS = 0x02,
        PCI_EXP_DEVCAP = 0x04,
        PCI_EXP_DEVCAP_FLR = 0x1000_0000,
        PCI_EXP_DEVCTL = 0x08,
        PCI_EXP_DEVCTL_PAYLOAD = 0x00e0,
        PCI_EXP_DEVCTL_PHANTOM = 0x0200,
        PCI_EXP_DEVCTL_READRQ = 0x7000,
        PCI_EXP_DEVCTL_BCR_FLR = 0x8000,
        PCI_EXP_DEVCTL2 = 0x28,
        PCI_EXP_DEVCTL2_ARI = 0x0020,
    };
    AF_REGISTERS in PCI_REGS_H "PCI_AF_" {
        PCI_AF_CAP = 3,
        PCI_AF_CTRL = 4,
        PCI_AF_CTRL_FLR = 0x01,
    };
    ERR_REGISTERS in PCI_REGS_H "PCI_ERR_" {
        PCI_ERR_UNCOR_STATUS = 0x04,
        PCI_ERR_UNCOR_MASK = 0x08,
        PCI_ERR_UNCOR_SEVER = 0x0c,
        PCI_ERR_COR_MASK = 0x14,
        PCI_ERR_UNC_POISON_TLP = 0x1000,
        PCI_ERR_UNC_UNSUP = 0x0010_0000,
    };
}
