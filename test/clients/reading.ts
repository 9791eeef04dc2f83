import { cutInPieces } from '../conformance/pieces.js'
import { open } from '../helpers/app.js'
import type { Entry } from './clients.js'
import type { Case } from './matrix.js'
import { begin, events, lines, type Preparation, readsLines, settle, untilData, untilOpen } from './scene.js'

/** The cell of a client that reads lines. */
function linesCell (entries: Entry[], expected: string[]): string {
  const text = lines(entries).join('\n')
  if (text.includes(expected.join('\n'))) return 'lines'
  return Buffer.from(text, 'latin1').toString().includes(expected.join('\n')) ? 'lines, as Latin-1' : 'wrong lines'
}

/** The case of a source with these payloads, which reads them as these events, or as these lines. */
function reads (column: string, payloads: Array<string | { event?: string, data: unknown }>, expected: string[][], expectedLines: string[], through?: Preparation['through']): Case {
  return {
    columns: [column],
    async run (t, client) {
      const scene = await begin(t, client, (app) => app.sseRoute('/sse', {
        async * source (_request, { signal }) {
          yield * payloads
          yield { data: 'end' }
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
        }
      }), { through })
      await untilData(scene, 'end')
      const entries = await scene.running.entries()
      if (readsLines(entries)) return linesCell(entries, expectedLines)
      const got = JSON.stringify(events(entries).slice(0, -1))
      if (got === '[]') return 'no event'
      return got === JSON.stringify(expected) ? 'yes' : got === JSON.stringify(expected).replaceAll(' ', '') ? 'loses spaces' : `no: ${got}`
    }
  }
}

const LONG = 'é€𝄞'.repeat(4)

/** The cases in which a client reads events. */
export const reading: Case[] = [
  {
    columns: ['id lines'],
    async run (t, client) {
      const scene = await begin(t, client, (app) => app.sseRoute('/sse', { topics: ['a'] }), { options: { heartbeat: 50, retry: 100 } })
      const { app, port, asked } = scene
      await untilOpen(app)
      const id = await app.sse.publish('b', 'for others')
      // the heartbeat of a later stream is later
      const later = await open(t, port, '/sse')
      await later.until('\n:\n')
      asked.length = 1
      for (const stream of app.sse.streams.values()) stream.close()
      const { entries, second } = await settle(scene)
      if (readsLines(entries)) return linesCell(entries, [`id: ${id}`])
      const shown = events(entries).length === 0 ? 'no event' : 'empty messages'
      if (second === undefined) return shown
      return `${shown}, ${second.lastEventId === id ? 'id kept' : second.lastEventId === null ? 'id lost' : 'older id kept'}`
    }
  },
  {
    columns: ['comments'],
    async run (t, client) {
      const scene = await begin(t, client, (app) => app.get('/sse', (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n: one\n: two\n\ndata: end\n\n')
      }))
      await untilData(scene, 'end')
      const entries = await scene.running.entries()
      if (readsLines(entries)) return linesCell(entries, [':', ': one', ': two', ''])
      return events(entries).length === 1 ? 'ignored' : 'empty message'
    }
  },
  reads('data of several lines', [{ event: 'a', data: 'one\n two\n\nthree' }], [['a', 'one\n two\n\nthree']], ['event: a', 'data: one', 'data:  two', 'data: ', 'data: three', '']),
  reads('empty data', [{ event: 'a', data: '' }], [['a', '']], ['event: a', 'data: ', '']),
  reads('UTF-8 across chunks', [{ event: 'a', data: LONG }], [['a', LONG]], ['event: a', `data: ${LONG}`, ''], cutInPieces),
  {
    columns: ['gap'],
    async run (t, client) {
      const scene = await begin(t, client, (app) => app.sseRoute('/sse', { topics: ['a'] }), { query: '?lastEventId=1-1' })
      await untilOpen(scene.app)
      await scene.app.sse.publish('a', 'end')
      await untilData(scene, 'end')
      const entries = await scene.running.entries()
      if (readsLines(entries)) return linesCell(entries, ['event: gap'])
      return events(entries).some(([name]) => name === 'gap') ? 'yes' : 'no event'
    }
  }
]
