// Tested by test/pubsub/topics.test.ts
import { SSE_ERR_CLIENT_ID, SSE_ERR_TOPIC, describeValue } from './errors.js'

/** True for a value that can name a topic or a client. */
export function isNonEmptyString (value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** Returns a topic that has been checked. @throws SSE_ERR_TOPIC */
export function validTopic (topic: unknown): string {
  if (!isNonEmptyString(topic)) throw new SSE_ERR_TOPIC(describeValue(topic))
  return topic
}

/** Returns an array of topics as a Set. @throws SSE_ERR_TOPIC */
export function validTopics (topics: unknown): ReadonlySet<string> {
  if (!Array.isArray(topics)) throw new SSE_ERR_TOPIC(`${describeValue(topics)} where an array of topics is expected`)
  const valid = new Set<string>()
  for (const topic of topics) valid.add(validTopic(topic))
  return valid
}

/** Returns a client id that has been checked. @throws SSE_ERR_CLIENT_ID */
export function validClientId (clientId: unknown): string {
  if (!isNonEmptyString(clientId)) throw new SSE_ERR_CLIENT_ID(describeValue(clientId))
  return clientId
}
