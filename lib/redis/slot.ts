// Tested by test/redis/topology.test.ts

/** Returns the slot of a key of a Redis Cluster: the CRC16 of its hash tag, or of the whole key, modulo 16384. See https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model */
export function slotOf (key: string): number {
  const [, tag = key] = /\{([^}]+)\}/.exec(key) ?? []
  let crc = 0
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  }
  return crc & 0x3fff
}
