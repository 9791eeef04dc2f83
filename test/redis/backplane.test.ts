import { Redis } from 'ioredis'
import { testBackplanes } from './backplanes.js'

await testBackplanes((url) => ({
  'a url': { url },
  'one of ioredis': { client: new Redis(url, { lazyConnect: true }) }
}))
