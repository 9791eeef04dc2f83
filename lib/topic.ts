// Tested by test/pubsub/topics.test.ts
import { SSE_ERR_CLIENT_ID, SSE_ERR_TOPIC, describeValue } from './errors.js'

/** Returns whether a value is a string that is not empty, as a topic and a client id have to be. */
export function isNonEmptyString (value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** Returns a topic unchanged. @throws SSE_ERR_TOPIC if it is not a string, or is empty */
export function validTopic (topic: unknown): string {
  if (!isNonEmptyString(topic)) throw new SSE_ERR_TOPIC(describeValue(topic))
  return topic
}

/** Returns an array of topics as a Set. @throws SSE_ERR_TOPIC if it is not an array, or one of its topics is not valid */
export function validTopics (topics: unknown): ReadonlySet<string> {
  if (!Array.isArray(topics)) throw new SSE_ERR_TOPIC(`${describeValue(topics)} where an array of topics is expected`)
  const valid = new Set<string>()
  for (const topic of topics) valid.add(validTopic(topic))
  return valid
}

/** Returns a client id unchanged. @throws SSE_ERR_CLIENT_ID if it is not a string, or is empty */
export function validClientId (clientId: unknown): string {
  if (!isNonEmptyString(clientId)) throw new SSE_ERR_CLIENT_ID(describeValue(clientId))
  return clientId
}
