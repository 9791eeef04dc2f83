// Tested by test/runs/resumable.test.ts
import { assertNoCustomId, encode } from '../event/encode.js'
import { UpstreamEvent } from '../event/upstream.js'
import type { RunSource } from '../runs/producer.js'
import type { CompiledSettings } from '../stream/settings.js'
import type { DeliverySettings } from './source-delivery.js'
import { payloadOf } from './source.js'

/** The functions that encode the data of events. */
type Writers = Pick<CompiledSettings, 'writeData' | 'writeText'>

/** Returns the source of a run, whose items are encoded once for all its readers. */
export function runSource ({ items, end }: DeliverySettings, writers: Writers, { open, onError }: Pick<RunSource, 'open' | 'onError'>): RunSource {
  return {
    open,
    encode: (item) => item instanceof UpstreamEvent ? encode(item.withoutId(), writers.writeText) : encodeEvent(payloadOf(item, items), writers),
    encodeEvent: (payload) => encodeEvent(payload, writers),
    end: end === undefined ? '' : encodeEvent(end, writers),
    onError
  }
}

/** Encodes an event without an id, because the events of a run have the run's ids. @throws the errors of `encode`, SSE_ERR_CUSTOM_ID */
function encodeEvent (payload: unknown, { writeData }: Writers): string {
  assertNoCustomId(payload)
  return encode(payload, writeData)
}
