import { setTimeout } from 'node:timers/promises'
import { createError } from '@fastify/error'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { readAnswer } from './answer.js'

/** Answers a prompt piece by piece until it is done or `signal` is aborted. */
export type LanguageModel = (prompt: string, signal: AbortSignal) => AsyncIterable<string>

const ModelError = createError('MODEL_ERROR', 'The language model answered %s: %s', 502)

/** A model behind the chat completions endpoint that OpenAI defined and many servers offer: https://platform.openai.com/docs/api-reference/chat */
export function openAIModel ({ baseURL, apiKey, model }: { baseURL: string, apiKey?: string, model: string }): LanguageModel {
  return async function * (prompt, signal) {
    const response = await fetch(`${baseURL.replace(/\/$/, '')}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(apiKey && { authorization: `Bearer ${apiKey}` }) },
      body: JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: prompt }] }),
      signal
    })
    if (!response.ok || response.body === null) throw new ModelError(response.status, await response.text())
    const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
    for await (const { data } of events) {
      if (data === '[DONE]') return
      const chunk: { choices?: Array<{ delta?: { content?: string | null } }>, error?: { message?: string } } = JSON.parse(data)
      if (chunk.error) throw new ModelError('with an error', chunk.error.message)
      const token = chunk.choices?.[0]?.delta?.content
      if (token) yield token
    }
  }
}

/** No model: the project's own text, about as fast as a model would write it. */
export const textModel: LanguageModel = async function * () {
  for (const word of (await readAnswer()).match(/\s*\S+/g) ?? []) {
    yield word
    await setTimeout(40)
  }
}

/** Returns the model that the environment names in OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL. Without them: the project's own text. */
export function answeringModel (): LanguageModel {
  const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey, OPENAI_MODEL: model = 'gpt-4o-mini' } = process.env
  return baseURL ? openAIModel({ baseURL, apiKey, model }) : textModel
}
