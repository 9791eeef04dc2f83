import { createClient } from 'redis'
import { testBackplanes } from './backplanes.js'

await testBackplanes((url) => ({
  'a client of node-redis': { client: createClient({ url }) },
  'one that speaks RESP3': { client: createClient({ url, RESP: 3 }) }
}))
