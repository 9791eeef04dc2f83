import { SSE_ERR_CLIENT_ID, SSE_ERR_TOPIC, show } from './errors.js'

/** Whether a value can name a topic or a client. */
export function isName (value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** @throws SSE_ERR_TOPIC */
export function validTopic (topic: unknown): string {
  if (!isName(topic)) throw new SSE_ERR_TOPIC(show(topic))
  return topic
}

/** @throws SSE_ERR_TOPIC */
export function validTopics (topics: unknown): ReadonlySet<string> {
  if (!Array.isArray(topics)) throw new SSE_ERR_TOPIC(`${show(topics)} where an array of topics is expected`)
  const valid = new Set<string>()
  for (const topic of topics) valid.add(validTopic(topic))
  return valid
}

/** @throws SSE_ERR_CLIENT_ID */
export function validClientId (clientId: unknown): string {
  if (!isName(clientId)) throw new SSE_ERR_CLIENT_ID(show(clientId))
  return clientId
}
