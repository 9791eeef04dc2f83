import type { Page } from 'playwright-core'
import t from 'tap'
import { until } from '../helpers/until.js'
import { launchChromium } from '../helpers/chromium.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { looksWell, watch } from './visit.js'

/** A document with keywords that the schemas of the demo do not use. */
const DOCUMENT = {
  openapi: '3.2.0',
  paths: {
    '/people/{person}': {
      parameters: [{ $ref: '#/components/parameters/person' }],
      get: {
        summary: 'People',
        parameters: [{ in: 'query', name: 'sort', schema: { enum: ['age', 'name'] } }],
        responses: {
          200: { content: { 'text/event-stream': { itemSchema: { $ref: '#/components/schemas/event' } } } },
          404: { $ref: '#/components/responses/missing' }
        }
      },
      delete: { responses: { 204: { description: 'Gone' } } }
    },
    '/anything': { get: { responses: { 200: { content: { 'text/event-stream': { itemSchema: { type: 'object', properties: { data: { type: 'string' } } } } } } } } }
  },
  components: {
    parameters: { person: { in: 'path', name: 'person', required: true, schema: { type: 'string' } } },
    responses: { missing: { description: 'Nobody has `that` name', content: {} } },
    schemas: {
      event: {
        anyOf: [
          { type: 'object', properties: { event: { const: 'born' }, data: { contentMediaType: 'application/json', contentSchema: { $ref: '#/components/schemas/person' } } }, required: ['event'] },
          { type: 'object', properties: { event: { enum: ['left', 'back'] }, data: { type: 'string', enum: ['work', 'home'] } }, required: ['event'] }
        ]
      },
      person: {
        type: 'object',
        required: ['name', 'children'],
        properties: {
          name: { type: 'string', minLength: 1, description: 'As in the passport' },
          children: { type: 'array', items: { $ref: '#/components/schemas/person' } },
          pet: { oneOf: [{ type: 'object', properties: { paws: { type: 'integer', minimum: 0, examples: [4] } } }, { type: 'null' }] }
        },
        additionalProperties: { type: ['boolean', 'null'] }
      }
    }
  }
}

t.test('the page of the events', async (t) => {
  const browser = await launchChromium(t)
  const server = await startDemoServer(t)

  const faults: string[][] = []
  /** Opens the page in its own context, and waits until it shows its content. */
  async function open (shown: string, prepare?: (page: Page) => Promise<unknown>): Promise<Page> {
    const page = await (await browser.newContext()).newPage()
    faults.push(watch(page))
    await prepare?.(page)
    await page.goto(`${server.url}/events.html`)
    await page.locator(shown).first().waitFor()
    return page
  }
  const text = async (page: Page, selector: string) => (await page.locator(selector).allInnerTexts()).map((text) => text.replace(/\s+/g, ' ').trim())

  t.test('the events page shows each stream of the 3.2 document with its events', async (t) => {
    const page = await open('article')
    const { paths } = Object(await (await fetch(`${server.url}/openapi/3.2.json`)).json())
    const streams = Object.entries(paths).flatMap(([path, operations]) => Object.entries(Object(operations))
      .filter(([, operation]) => JSON.stringify(operation).includes('"itemSchema"')).map(([method]) => `${method.toUpperCase()} ${path}`))
    t.strictSame((await text(page, 'article h3')).sort(), streams.sort())
    t.strictSame(await text(page, '#get-stocks-symbol .event h5'), ['history JSON', 'quote JSON'])
    t.match(await text(page, '#get-stocks-symbol .event'), [/array of object time integer ms since 1970 price number$/, / open number The day’s first price /])
    t.strictSame(await text(page, '#post-chats-chat .event h5'), ['question text', 'token text', 'complete JSON', 'error JSON', 'done text'])
    t.strictSame(await text(page, '#post-chats-chat .curl'), [`curl -N -X POST -H 'content-type: application/json' -d '{"prompt":"Hello"}' '${server.url}/chats/0123456789abcdefghij'`])
    t.strictSame(await text(page, '#get-stocks-symbol .curl'), [`curl -N '${server.url}/stocks/ACRE'`])
  })

  t.test('the events page fits on any screen and passes axe', async (t) => {
    const page = await open('article')
    await looksWell(t, page)
  })

  t.test('the events page follows references and shows unions, enums, limits, descriptions and examples', async (t) => {
    const page = await open('article', (page) => page.route('**/openapi/3.2.json', (route) => route.fulfill({ json: DOCUMENT })))
    t.strictSame(await text(page, 'article h3'), ['GET /people/{person}', 'GET /anything'])
    t.strictSame(await text(page, '#get-people-person .event'), [
      'born JSON object name string at least one character As in the passport children array of object as above ' +
        'pet object | null optional either object paws integer optional ≥ 0 such as 4 or null any other boolean | null',
      'left text "work" | "home"',
      'back text "work" | "home"'
    ])
    t.strictSame(await text(page, '#get-people-person .schema.row'), ['person path string', 'sort query, optional "age" | "name"'])
    t.strictSame(await text(page, '#get-people-person .refusal'), ['404 Nobody has that name'])
    t.strictSame(await text(page, '#get-people-person .curl'), [`curl -N '${server.url}/people/<person>'`])
    t.strictSame(await text(page, '#get-anything .event'), ['any name or none text string'])
  })

  t.test('the events page opens a stream, shows its events as they arrive, and stops it', async (t) => {
    const page = await open('article')
    const [time, stocks] = ['#get-time', '#get-stocks-symbol'].map((id) => page.locator(id))
    const tried = page.locator('#get-stocks-symbol .tried li')
    await stocks?.getByRole('combobox', { name: 'symbol' }).fill('DUNE')
    await stocks?.getByRole('button', { name: 'Open' }).click()
    await until('two quotes', async () => await tried.filter({ hasText: '"symbol":"DUNE"' }).count() >= 2)
    t.match(await tried.first().innerText(), /^history\s/)
    t.equal(await page.locator('#connection').innerText(), 'reading /stocks/DUNE')

    await time?.getByRole('button', { name: 'Open' }).click()
    await until('the time comes', async () => await page.locator('#get-time .tried li').count() > 0)
    t.equal(await stocks?.locator('output').innerText(), 'stopped', 'one stream at a time')
    await time?.getByRole('button', { name: 'Stop' }).click()
    await until('it says so', async () => await time?.locator('output').innerText() === 'stopped')
    t.equal(await page.locator('#connection').innerText(), 'no stream open')
    await until('the server has no stream', async () => /^sse_streams_open\{route="\/time"\} 0$/m.test(await (await fetch(`${server.url}/metrics`)).text()))
  })

  t.test('the events page shows a stream to its end, up to a number of events', async (t) => {
    const page = await open('article')
    await page.locator('#get-ai-chat').getByRole('button', { name: 'Open' }).click()
    await page.getByText('stopped after 12 events').waitFor()
    t.equal(await page.locator('#get-ai-chat .tried li').count(), 12)
  })

  t.test('the events page shows why a stream is refused', async (t) => {
    const page = await open('article')
    await page.locator('#get-notifications').getByRole('button', { name: 'Open' }).click()
    await page.getByText('401: Sign in first, by POST /session').waitFor()
    await page.locator('#get-stocks-symbol').getByRole('combobox', { name: 'symbol' }).fill('NOPE')
    await page.locator('#get-stocks-symbol').getByRole('button', { name: 'Open' }).click()
    await page.getByText('404: No company is listed as NOPE').waitFor()
  })

  t.test('the events page says when the document cannot be read', async () => {
    await open('#problem:not(:empty)', (page) => page.route('**/openapi/3.2.json', (route) => route.abort()))
  })

  const expected = /^Failed to load resource: (net::ERR_FAILED|the server responded with a status of 40[14])/
  t.strictSame(faults.flat().filter((fault) => !expected.test(fault)), [], 'no page had an error on its console')
})
