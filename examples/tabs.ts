// One connection for all tabs of a browser. Open http://127.0.0.1:3000 in three tabs, and run beside it:
//   curl -X POST -H 'content-type: text/plain' -d 'Tea is ready' http://127.0.0.1:3000/news
//   curl http://127.0.0.1:3000/streams
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const pages = new URL('pages/', import.meta.url)
// the script imports the client of this package
const bundle = await build({ entryPoints: [fileURLToPath(new URL('tabs.js', pages))], bundle: true, format: 'esm', write: false })

const app = Fastify()
await app.register(sse)

app.sseRoute({ url: '/events', topics: ['news', 'weather'] })

app.post<{ Body: string }>('/news', async (request) => ({ id: await app.sse.publish('news', { event: 'news', data: { text: request.body } }) }))
app.get('/streams', async () => ({ open: app.sse.streams.size }))

app.get('/', async (_request, reply) => reply.type('text/html').send(await readFile(new URL('tabs.html', pages))))
app.get('/tabs.js', async (_request, reply) => reply.type('text/javascript').send(bundle.outputFiles[0]?.text))

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
