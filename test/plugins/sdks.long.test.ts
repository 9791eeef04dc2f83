import Anthropic from '@anthropic-ai/sdk'
import { DefaultChatTransport, type UIMessage } from 'ai'
import OpenAI from 'openai'
import { test, type Test } from 'tap'
import { listen, makeApp, until } from '../helpers/app.js'

type Chunk = OpenAI.Chat.Completions.ChatCompletionChunk

/** The chunks of a completion, as the API of OpenAI sends them. */
function * completion (...words: string[]): Generator<Chunk> {
  const chunk = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'tiny' } as const
  for (const content of words) yield { ...chunk, choices: [{ index: 0, delta: { role: 'assistant', content }, finish_reason: null }] }
  yield { ...chunk, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }
}

/** The events of a message, as the API of Anthropic sends them: each is named by the type of its data. */
function * message (...words: string[]) {
  yield { type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'tiny', content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } } }
  yield { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }
  for (const text of words) yield { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }
  yield { type: 'content_block_stop', index: 0 }
  yield { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 3 } }
  yield { type: 'message_stop' }
}

async function urlOf (t: Test, declare: (app: Awaited<ReturnType<typeof makeApp>>) => void): Promise<string> {
  // fetch in Node 20 opens a connection ahead of need once it has left a stream, and app.close() waits for it
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  declare(app)
  return `http://127.0.0.1:${await listen(app)}`
}

test('openai', async (t) => {
  const accepted: unknown[] = []
  let stopped = false
  const url = await urlOf(t, (app) => {
    app.sseRoute<{ Body: { stream: boolean, messages: [{ content: string }] } }>({
      method: 'POST',
      url: '/v1/chat/completions',
      items: 'data',
      end: '[DONE]',
      source: async function * (request, { signal }) {
        accepted.push(request.headers.accept, request.body.stream)
        yield * completion('Hello', ', ', 'world')
        if (request.body.messages[0].content !== 'wait') return
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        stopped = true
      }
    })
  })
  const client = new OpenAI({ apiKey: 'key', baseURL: `${url}/v1`, maxRetries: 0 })
  const ask = (content: string) => client.chat.completions.create({ model: 'tiny', stream: true, messages: [{ role: 'user', content }] })
  const words = []
  for await (const { choices: [choice] } of await ask('hello')) words.push(choice?.delta.content ?? choice?.finish_reason)
  t.strictSame(words, ['Hello', ', ', 'world', 'stop'])
  t.strictSame(accepted, ['application/json', true])
  const left = await ask('wait')
  left.controller.abort()
  await until('the source is stopped', () => stopped)
})

test('@anthropic-ai/sdk', async (t) => {
  const accepted: unknown[] = []
  const url = await urlOf(t, (app) => {
    app.sseRoute({
      method: 'POST',
      url: '/v1/messages',
      source: function * (request) {
        accepted.push(request.headers.accept)
        for (const data of message('Hello', ', ', 'world')) yield { event: data.type, data }
      }
    })
  })
  const client = new Anthropic({ apiKey: 'key', baseURL: url, maxRetries: 0 })
  const stream = client.messages.stream({ model: 'tiny', max_tokens: 10, messages: [{ role: 'user', content: 'hello' }] })
  const words: string[] = []
  stream.on('text', (text) => words.push(text))
  t.match(await stream.finalMessage(), { content: [{ type: 'text', text: 'Hello, world' }], stop_reason: 'end_turn' })
  t.strictSame(words, ['Hello', ', ', 'world'])
  t.strictSame(accepted, ['application/json'])
})

test('ai', async (t) => {
  const url = await urlOf(t, (app) => {
    app.sseRoute({
      method: 'POST',
      url: '/api/chat',
      headers: { 'x-vercel-ai-ui-message-stream': 'v1' },
      items: 'data',
      end: '[DONE]',
      source: function * () {
        yield { type: 'start', messageId: 'm-1' }
        yield { type: 'text-start', id: 't-1' }
        for (const delta of ['Hello', ', ', 'world']) yield { type: 'text-delta', id: 't-1', delta }
        yield { type: 'text-end', id: 't-1' }
        yield { type: 'finish' }
      }
    })
    app.get('/api/chat/:id/stream', (_request, reply) => reply.code(204).send())
  })
  const transport = new DefaultChatTransport<UIMessage>({ api: `${url}/api/chat` })
  const chunks = await transport.sendMessages({
    chatId: 'c-1',
    trigger: 'submit-message',
    messageId: undefined,
    abortSignal: undefined,
    messages: [{ id: 'u-1', role: 'user', parts: [{ type: 'text', text: 'hello' }] }]
  })
  const [types, words]: [string[], string[]] = [[], []]
  for await (const chunk of chunks) {
    types.push(chunk.type)
    if (chunk.type === 'text-delta') words.push(chunk.delta)
  }
  t.strictSame(types, ['start', 'text-start', 'text-delta', 'text-delta', 'text-delta', 'text-end', 'finish'])
  t.equal(words.join(''), 'Hello, world')
  t.equal(await transport.reconnectToStream({ chatId: 'c-1' }), null)
})
