/** Numbers of virtio 1.2 and of its network device. */

// virtio 1.2 §2.7.5, struct virtq_desc: le64 addr, le32 len, le16 flags, le16 next
export const DESC_BYTES = 16;
export const DESC_F_NEXT = 1;
export const DESC_F_WRITE = 2;
export const DESC_F_INDIRECT = 4;

// §2.7.7 and §2.7.9: flags of the rings where EVENT_IDX is not negotiated
export const AVAIL_F_NO_INTERRUPT = 1;
export const USED_F_NO_NOTIFY = 1;

/** §2.7: a power of two up to 32768; ours are smaller. */
export const LARGEST_QUEUE = 1024;

// Feature bits: §6 and §5.1.3
export const F_NET_CSUM = 0;
export const F_NET_GUEST_CSUM = 1;
export const F_NET_MTU = 3;
export const F_NET_MAC = 5;
export const F_NET_GUEST_TSO4 = 7;
export const F_NET_GUEST_TSO6 = 8;
export const F_NET_GUEST_ECN = 9;
export const F_NET_HOST_TSO4 = 11;
export const F_NET_HOST_TSO6 = 12;
export const F_NET_HOST_ECN = 13;
export const F_NET_MRG_RXBUF = 15;
export const F_NET_STATUS = 16;
export const F_NET_GUEST_USO4 = 54;
export const F_NET_GUEST_USO6 = 55;
export const F_NET_HOST_USO = 56;
export const F_RING_INDIRECT_DESC = 28;
export const F_RING_EVENT_IDX = 29;
export const F_VERSION_1 = 32;

// §5.1.6: struct virtio_net_hdr
export const NET_HEADER_BYTES = 12;
export const NET_HDR_FLAGS = 0;
export const NET_HDR_GSO_TYPE = 1;
export const NET_HDR_LEN = 2;
export const NET_HDR_GSO_SIZE = 4;
export const NET_HDR_CSUM_START = 6;
export const NET_HDR_CSUM_OFFSET = 8;
export const NET_HDR_NUM_BUFFERS = 10;
export const NET_HDR_F_NEEDS_CSUM = 1;
export const NET_HDR_F_DATA_VALID = 2;
export const NET_HDR_GSO_NONE = 0;
export const NET_HDR_GSO_TCPV4 = 1;
export const NET_HDR_GSO_UDP = 3;
export const NET_HDR_GSO_TCPV6 = 4;
export const NET_HDR_GSO_UDP_L4 = 5;
export const NET_HDR_GSO_ECN = 0x80;

// §5.1.4: the configuration space of the network device
export const CONFIG_MAC = 0;
export const CONFIG_STATUS = 6;
export const CONFIG_MAX_PAIRS = 8;
export const CONFIG_MTU = 10;
export const CONFIG_BYTES = 12;
export const STATUS_LINK_UP = 1;
