// Started by clients.long.test.ts on Node, Bun and Deno: prints what the built client reads.
import process from 'node:process'
import { readStreams } from './client-steps.js'

const { sse } = await import(`${process.env.PLUGIN}/client/index.js`)
await readStreams(sse, process.env.SERVER, (...values) => console.log(JSON.stringify(values)))
