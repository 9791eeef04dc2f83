import type { FastifyInstance } from 'fastify'
import { documentOf, pathOf, VERSIONS } from './documents.js'

/**
 * Listens where PORT and HOST say, prints what there is, and ends at Ctrl+C.
 * What is wrong with the address, whoever started it can mend: it is said in one line, and the exit code is 1.
 */
export async function start (app: FastifyInstance, logFile: string): Promise<void> {
  try {
    const url = await listen(app, process.env.PORT || '3000', process.env.HOST || '127.0.0.1')
    endAtSignal(app)
    console.log(overview(app, url, logFile))
  } catch (error) {
    if (!(error instanceof AddressError)) throw error
    console.error(error.message)
    process.exitCode = 1
    await app.close()
  }
}

class AddressError extends Error {}

/** @returns the URL */
async function listen (app: FastifyInstance, PORT: string, host: string): Promise<string> {
  const port = Number(PORT)
  if (!/^\d+$/.test(PORT) || port > 65_535) throw new AddressError(`PORT is "${PORT}". It takes a whole number from 0, which is any free port, to 65535.`)
  try {
    return await app.listen({ port, host })
  } catch (error) {
    switch (error instanceof Error && 'code' in error && error.code) {
      case 'EADDRINUSE': throw new AddressError(`Port ${port} is taken on ${host}. Set another, or 0 for any that is free: PORT=0 npm start`)
      case 'EACCES': throw new AddressError(`Port ${port} needs more rights than this process has. Set another: PORT=3000 npm start`)
      case 'EADDRNOTAVAIL': case 'EAI_AGAIN': case 'ENOTFOUND': throw new AddressError(`HOST is "${host}", which is no address of this machine. Set another: HOST=127.0.0.1 npm start`)
      default: throw error
    }
  }
}

/** The streams end, each told when to come back; then the process does, as nothing is left that keeps it. */
function endAtSignal (app: FastifyInstance): void {
  let closed: Promise<void> | undefined
  const end = () => {
    // npm hands on the signal that the terminal has sent already
    closed ??= app.close()
    // The streams have ended by then; a connection that a browser opened ahead of need would be waited for.
    setTimeout(() => app.server.closeAllConnections(), 300).unref()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end)
}

function overview (app: FastifyInstance, url: string, logFile: string): string {
  const streams: Row[] = []
  const requests: Row[] = []
  for (const [path, operations] of Object.entries(documentOf(app, '3.1.0')().paths)) {
    for (const [method, { summary = '', responses }] of Object.entries(operations)) {
      const rows = responses[200]?.content?.['text/event-stream'] ? streams : requests
      rows.push([`${method.toUpperCase().padEnd(6)}  ${path}`, summary])
    }
  }
  const documents: Row[] = [
    [`${url}/docs`, 'Swagger UI'],
    [`${url}/events.html`, 'the events of each stream'],
    ...VERSIONS.map((version): Row => [url + pathOf(version), `OpenAPI ${version}`])
  ]
  return `Open ${url} in a browser. The log goes to ${logFile}. Ctrl+C ends it.

${table('Event streams', streams)}

${table('Requests', requests)}

${table('Documentation', documents)}`
}

type Row = [name: string, meaning: string]

function table (title: string, rows: Row[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return [title, ...rows.map(([name, meaning]) => `  ${name.padEnd(width)}  ${meaning}`)].join('\n')
}
