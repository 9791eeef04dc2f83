// Tested by test/pubsub/topics.test.ts
import { SSE_ERR_CLIENT_ID, SSE_ERR_OPTION, SSE_ERR_TOPIC, describeValue } from './errors.js'

/** Returns whether a value is a string that is not empty, as a topic and a client id have to be. */
export function isNonEmptyString (value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** Returns a topic unchanged. @throws SSE_ERR_TOPIC if it is not a string, or is empty */
export function validTopic (topic: unknown): string {
  if (!isNonEmptyString(topic)) throw new SSE_ERR_TOPIC(describeValue(topic))
  return topic
}

/** Returns a client id unchanged. @throws SSE_ERR_CLIENT_ID if it is not a string, or is empty */
export function validClientId (clientId: unknown): string {
  if (!isNonEmptyString(clientId)) throw new SSE_ERR_CLIENT_ID(describeValue(clientId))
  return clientId
}

/** Returns the client id in the option `except` of `publish`; null without it. @throws SSE_ERR_OPTION, SSE_ERR_CLIENT_ID */
export function validExcept (options: unknown): string | null {
  if (options === undefined) return null
  if (typeof options !== 'object' || options === null) throw new SSE_ERR_OPTION('options', 'an object { except?: a client id }', describeValue(options))
  const { except, ...others }: { except?: unknown } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new SSE_ERR_OPTION('options', 'an object { except?: a client id }', `one with ${describeValue(unknown)}`)
  return except === undefined ? null : validClientId(except)
}
