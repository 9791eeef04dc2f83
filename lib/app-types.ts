// Tested by test/types/publish.tst.ts
import type { SSEStats } from './stats.js'
import type { PublicationFor, SSEPublication, Target } from './topics/types.js'
import type { SSEStream } from './types.js'

export type { SSEPublication }

/** The data of an event `gap`, which says that events are lost. */
export interface SSEGap {
  /** The last id that the client has; null if it has none. */
  lastEventId: string | null
  /** The id of the oldest event that is retained; null if there is none. */
  oldestId: string | null
}

/** The options of `app.sse.publish`. */
export interface SSEPublishOptions {
  /** Client id whose streams do not get the event. */
  except?: string
}

/** `app.sse`: publishes events to the streams of all processes that share the backplane. */
export interface SSE {
  /**
   * Publishes an event to all streams that are subscribed to a topic, or to at least one of several topics, in all processes that share
   * the backplane. A stream gets the event once. Resolves to the event's id once the event is stored in the log of published events.
   * For a topic of a definition (`defineTopic`) the serializers of its schemas convert the data, otherwise the plugin's `serializer`. Rejects with SSE_ERR_TOPIC, SSE_ERR_CLIENT_ID (`except`), SSE_ERR_OPTION, SSE_ERR_PAYLOAD
   * (also for an event with nothing in it), SSE_ERR_FIELD, SSE_ERR_UNKNOWN_EVENT, SSE_ERR_SERIALIZATION, SSE_ERR_SCHEMA, SSE_ERR_CUSTOM_ID, and after `app.close()` with
   * SSE_ERR_CLOSING. In these cases no stream sends the event.
   */
  publish<const Targets extends Target | readonly Target[]> (topics: Targets, payload: PublicationFor<Targets>, options?: SSEPublishOptions): Promise<string>
  /** Publishes an event to all open streams of all processes, whatever their topics. Resolves and rejects like `publish`. */
  broadcast (payload: SSEPublication): Promise<string>
  /** Publishes an event to all streams with a client id, like `publish`. Rejects with SSE_ERR_CLIENT_ID in place of SSE_ERR_TOPIC. */
  sendTo (clientId: string, payload: SSEPublication): Promise<string>
  /**
   * Closes all streams with a client id, in all processes that share the backplane. They get the events that were published before.
   * Resolves once the message is stored. Rejects with SSE_ERR_CLIENT_ID, and after `app.close()` with SSE_ERR_CLOSING.
   */
  close (clientId: string): Promise<void>
  /** Removes a topic from all streams with a client id, as `close` closes them. Rejects like `close`, and with SSE_ERR_TOPIC. */
  unsubscribe (clientId: string, topic: Target): Promise<void>
  /** The id of the newest entry in the log. A client that opens with it as `lastEventId` gets all later events. */
  readonly lastEventId: string
  /** The open streams of this process, by `id`. */
  readonly streams: ReadonlyMap<string, SSEStream>
  /** Returns counts of this process since its start, such as open streams and events sent, as sums over all routes. */
  stats (): SSEStats
}
