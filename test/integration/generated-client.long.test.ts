import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from '@hey-api/openapi-ts'
import openapiTS, { astToString, type OpenAPI3 } from 'openapi-typescript'
import t from 'tap'
import ts from 'typescript'
import { startDemoServer } from '../helpers/demo-server.js'

/** What somebody writes against the client that @hey-api/openapi-ts generates. A line that is expected to be an error is one that must not compile. */
const CONSUMER = `
import { getStocksBySymbol, postChat, postRoomsByRoomMessages } from './client/index.js'

export async function quotes (baseUrl: string, symbol: string, count: number) {
  const leave = new AbortController()
  const past: Array<{ time: number, price: number }> = []
  const seen: Array<{ symbol: string, price: number, changePercent: number }> = []
  const { stream } = await getStocksBySymbol({ baseUrl, path: { symbol }, signal: leave.signal })
  for await (const data of stream) {
    // @ts-expect-error the history has no price
    void data.price
    if (Array.isArray(data)) past.push(...data)
    else if (seen.push(data) === count) break
  }
  leave.abort()
  return { past, seen }
}

export async function answer (baseUrl: string, prompt: string): Promise<string[]> {
  const tokens: string[] = []
  const { stream } = await postChat({ baseUrl, body: { prompt } })
  for await (const token of stream) tokens.push(token)
  return tokens
}

export async function say (baseUrl: string, room: string, text: string): Promise<string | undefined> {
  const { data } = await postRoomsByRoomMessages({ baseUrl, path: { room }, body: { name: 'Ada', text } })
  return data?.id
}

export function wrong () {
  // @ts-expect-error a symbol is needed
  void getStocksBySymbol({})
  // @ts-expect-error a prompt is a text
  void postChat({ body: { prompt: 1 } })
}
`

/** What somebody writes against the types of openapi-typescript, with whatever client they have. */
const TYPES = `
import type { paths } from './schema.js'

type DataOf<Path extends keyof paths, Method extends keyof paths[Path]> =
  paths[Path][Method] extends { responses: { 200: { content: { 'text/event-stream': infer Data } } } } ? Data : never

export function price (data: DataOf<'/stocks/{symbol}', 'get'>): number | undefined {
  return Array.isArray(data) ? data[0]?.price : data.price
}
export function token (data: DataOf<'/chat', 'post'>): string {
  return data
}
export const prompt: paths['/chat']['post']['requestBody'] = { content: { 'application/json': { prompt: 'Hello' } } }
`

const MISUSE = `
import { price, token } from './types.js'

price({ symbol: 'ACRE' })
price([{ time: 0, price: '1' }])
token(1)
`

/** Compiles files and what they import, in place. @returns the errors, each by its file, line and code */
function compile (files: string[]): string[] {
  const program = ts.createProgram(files, {
    strict: true,
    noUncheckedIndexedAccess: true,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts', 'lib.dom.asynciterable.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    skipLibCheck: true,
    types: []
  })
  program.emit()
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, code, messageText }) => {
    const line = file ? file.getLineAndCharacterOfPosition(start).line : 0
    return `${file?.fileName.split('/').at(-1)}:${line} TS${code}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
}

t.test('clients generated from the OpenAPI 3.1 document by other packages', async (t) => {
  const server = await startDemoServer(t)
  const document = await (await fetch(`${server.url}/openapi/3.1.json`)).json()
  const folder = t.testdir({ 'package.json': '{ "type": "module" }', 'consumer.ts': CONSUMER, 'types.ts': TYPES, 'misuse.ts': MISUSE })
  const file = (name: string) => join(folder, name)
  await createClient({
    input: document as object,
    output: file('client'),
    plugins: ['@hey-api/client-fetch', '@hey-api/sdk', '@hey-api/typescript'],
    logs: { level: 'silent', file: false }
  })
  await writeFile(file('schema.ts'), astToString(await openapiTS(document as OpenAPI3)))
  const errors = compile(['consumer.ts', 'types.ts', 'misuse.ts'].map(file))
  const errorsIn = (name: string) => errors.filter((error) => error.startsWith(name))

  t.test('@hey-api/openapi-ts: code for the generated client compiles and receives data of its types', async (t) => {
    t.strictSame(errorsIn('consumer.ts'), [])
    const { quotes, answer, say } = await import(file('consumer.js'))

    const [{ past, seen }, tokens] = await Promise.all([quotes(server.url, 'BOLT', 2), answer(server.url, 'Hello')])
    t.ok(past.length > 0)
    t.match(past[0], { time: Number, price: Number })
    t.match(seen, [{ symbol: 'BOLT', price: Number, changePercent: Number }, { symbol: 'BOLT', price: Number, changePercent: Number }])
    t.ok(tokens.length > 100)
    t.ok(tokens.every((token: unknown) => typeof token === 'string'))
    // the generated client takes away the spaces that a text begins with
    t.match(tokens.join(''), /^No ?language ?model ?is ?connected/)

    t.match(await say(server.url, 'lobby', 'Hello'), /^\d+-\d+$/, 'what is no stream works as well')
  })

  t.test('openapi-typescript: correct code for the generated types compiles, wrong code does not', async (t) => {
    t.strictSame(errorsIn('types.ts'), [])
    t.strictSame(errorsIn('misuse.ts').map((error) => error.replace(/: .*/s, '')), ['misuse.ts:3 TS2345', 'misuse.ts:4 TS2322', 'misuse.ts:5 TS2345'])
  })

  t.equal(errors.length, 3, 'what was generated compiles by itself')
})
