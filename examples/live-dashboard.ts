// A dashboard per tenant: one computation per tenant and second, and no user sees the numbers of another tenant. Run beside it:
//   curl -N -H 'authorization: Bearer ann-token' http://127.0.0.1:3000/dashboard
//   curl -X POST -H 'authorization: Bearer ann-token' http://127.0.0.1:3000/orders/250
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyRequest } from 'fastify'
import sse from 'fastify-sse-routes'

const tenants = new Map([['Bearer ann-token', 'acme'], ['Bearer amy-token', 'acme'], ['Bearer bob-token', 'globex']])

function tenantOf ({ headers }: Pick<FastifyRequest, 'headers'>): string {
  const tenant = tenants.get(headers.authorization ?? '')
  if (tenant === undefined) throw Object.assign(new Error('Sign in first'), { statusCode: 401 })
  return tenant
}

const revenues = new Map<string, number>()
let calls = 0

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse)

app.sseRoute({
  url: '/dashboard',
  interval: 1_000,
  // streams of one tenant share each call of payload
  shared: tenantOf,
  payload: async (request) => ({ event: 'numbers', data: { revenue: revenues.get(tenantOf(request)) ?? 0, call: ++calls } }),
  // each order of the tenant arrives at once, between two calls
  topics: (request) => [`orders:${tenantOf(request)}`],
  maxStreamsPerClient: { max: 100, key: tenantOf }
})

app.post('/orders/:euros', { schema: { params: Type.Object({ euros: Type.Integer() }) } }, async (request) => {
  const [tenant, { euros }] = [tenantOf(request), request.params]
  revenues.set(tenant, (revenues.get(tenant) ?? 0) + euros)
  return { id: await app.sse.publish(`orders:${tenant}`, { event: 'order', data: { euros } }) }
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
