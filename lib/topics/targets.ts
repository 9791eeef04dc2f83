// Tested by test/pubsub/typed-topics.test.ts
import { SSE_ERR_TOPIC, describeValue } from '../errors.js'
import { validTopic } from '../topic.js'
import { isTopic } from './define.js'
import type { DefinedTopic, Target } from './types.js'

/** The topics that an event is published to. */
export interface Targets {
  /** The names of the topics, each once. */
  names: readonly string[]
  /** The definition of each topic in `names`, null for a topic without definition. Null in place of the array: no topic has a definition. */
  definitions: ReadonlyArray<DefinedTopic | null> | null
}

/** Returns the name of a topic: a string unchanged, or the name of a typed topic. @throws SSE_ERR_TOPIC if it is neither, or is empty */
export function nameOfTopic (topic: unknown): string {
  return isTopic(topic) ? topic.name : validTopic(topic)
}

/** Returns the names of topics, without a check. A value that names no topic is returned unchanged. */
export function namesOf (topics: readonly Target[]): string[] {
  return topics.map((topic) => isTopic(topic) ? topic.name : topic)
}

/** Returns the names of an array of topics as a Set. @throws SSE_ERR_TOPIC if it is not an array, or one of its topics is not valid */
export function validTopics (topics: unknown): ReadonlySet<string> {
  return new Set(topicList(topics).map(nameOfTopic))
}

/** Returns an array of topics unchanged. Its items may be wrong. @throws SSE_ERR_TOPIC if it is not an array */
export function topicList (topics: unknown): readonly unknown[] {
  if (!Array.isArray(topics)) throw new SSE_ERR_TOPIC(`${describeValue(topics)} where an array of topics is expected`)
  return topics
}

/** Returns the topics that an event is published to. @param topics one topic, or an array of at least one. @throws SSE_ERR_TOPIC */
export function validTargets (topics: unknown): Targets {
  if (!Array.isArray(topics)) return { names: [nameOfTopic(topics)], definitions: isTopic(topics) ? [topics.definition] : null }
  if (topics.length === 0) throw new SSE_ERR_TOPIC('an array without topics')
  const targets = new Map<string, DefinedTopic | null>()
  for (const topic of topics) {
    if (isTopic(topic)) targets.set(topic.name, topic.definition)
    else if (!targets.has(validTopic(topic))) targets.set(topic, null)
  }
  const definitions = [...targets.values()]
  return { names: [...targets.keys()], definitions: definitions.some((definition) => definition !== null) ? definitions : null }
}
