import { randomUUID } from 'node:crypto'
import { Type, type FastifyPluginAsyncTypebox, type Static } from '@fastify/type-provider-typebox'
import { defineTopic } from 'fastify-sse-routes'
import { FileSchema, ProgressSchema, type Importer } from './data/importer.js'
import { FailureSchema, StoppedSchema } from './data/schemas.js'

const KEPT = 20

const JobSchema = Type.Object({
  id: Type.String({ format: 'uuid' }),
  file: FileSchema,
  pid: Type.Integer({ description: 'The process that imports the file' }),
  time: Type.Integer({ description: 'When the job was started, ms since 1970' })
})

/** The list of jobs: retains the newest ones. */
const jobList = defineTopic('jobs', { events: { job: JobSchema }, history: { size: KEPT } })

const start = {
  summary: 'Import a file',
  description: 'Starts a job, and replies before it has ended. Its progress is at `/jobs/{id}`. The file `broken.csv` fails.',
  tags: ['jobs'],
  body: Type.Object({ file: FileSchema }),
  response: { 202: { ...JobSchema, description: 'Started' } }
}

const list = {
  summary: 'The jobs',
  description: 'The newest 20 jobs, then each job as it is started.',
  tags: ['jobs']
}

const params = Type.Object({ id: JobSchema.properties.id })

const follow = {
  summary: 'The progress of a job',
  description: 'From its beginning, or from the Last-Event-ID on. `error` or `done` is the last event. A job that was stopped ends before its last row.',
  tags: ['jobs'],
  params
}

const stop = {
  summary: 'Stop a job',
  description: 'In whatever process it runs.',
  tags: ['jobs'],
  params,
  response: { 200: StoppedSchema }
}

const jobs: FastifyPluginAsyncTypebox<{ importFile: Importer }> = async (app, { importFile }) => {
  const key = ({ params }: { params: { id: string } }) => `job:${params.id}`

  app.post('/jobs', { schema: start }, async ({ body: { file } }, reply) => {
    const job: Static<typeof JobSchema> = { id: randomUUID(), file, pid: process.pid, time: Date.now() }
    await app.sse.start(key({ params: job }), async function * ({ signal }) {
      for await (const progress of importFile(file, signal)) yield { event: 'progress', data: progress }
    }, { end: { event: 'done', data: '' }, keep: 3_600_000 })
    await app.sse.publish(jobList(), { event: 'job', data: job })
    reply.code(202)
    return job
  })
  app.sseRoute({ url: '/jobs', schema: list, topics: [jobList], rewind: KEPT })
  app.sseRoute({ url: '/jobs/:id', schema: follow, events: { progress: ProgressSchema, error: FailureSchema, done: Type.String() }, resume: key })
  app.delete('/jobs/:id', { schema: stop }, async (request) => ({ stopped: await app.sse.stop(key(request)) }))
}

export default jobs
