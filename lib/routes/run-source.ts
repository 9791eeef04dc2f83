// Tested by test/runs/resumable.test.ts
import { assertNoCustomId, encode } from '../event/encode.js'
import { UpstreamEvent } from '../event/upstream.js'
import type { CompiledSettings } from '../stream/settings.js'
import { type ItemKind, payloadOf } from './source.js'

/** Encodes an item of a run's source as an event without an id, because the events of a run have the run's ids. @throws the errors of `encode`, SSE_ERR_CUSTOM_ID */
export function encodeItem (item: unknown, items: ItemKind, { writeData, writeText }: Pick<CompiledSettings, 'writeData' | 'writeText'>): string {
  if (item instanceof UpstreamEvent) return encode(item.withoutId(), writeText)
  const payload = payloadOf(item, items)
  assertNoCustomId(payload)
  return encode(payload, writeData)
}
