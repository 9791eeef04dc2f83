import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { priceList } from './data/price-list.js'

const schema = {
  summary: 'All share prices as HTML',
  description: 'A list of the prices, once a second, in the form that a page library reads: `htmx` for htmx 2 and htmx 4, `datastar` for Datastar 1.0, `datastar-beta` for its versions up to 1.0.0-beta.11, `turbo` for Turbo.',
  tags: ['live data'],
  params: Type.Object({ library: Type.Union((['htmx', 'datastar', 'datastar-beta', 'turbo'] as const).map((name) => Type.Literal(name)), { examples: ['htmx'] }) })
}

const pageLibraries: FastifyPluginAsyncTypebox = async (app) => {
  const formats = {
    htmx: (html: string) => ({ data: html }),
    datastar: (html: string) => ({ event: 'datastar-patch-elements', data: html.replace(/^/gm, 'elements ') }),
    'datastar-beta': (html: string) => ({ event: 'datastar-merge-fragments', data: html.replace(/^/gm, 'fragments ') }),
    turbo: (html: string) => ({ data: `<turbo-stream action="replace" target="prices"><template>${html}</template></turbo-stream>` })
  }

  app.sseRoute({
    url: '/fragments/:library',
    schema,
    events: { message: Type.String(), 'datastar-patch-elements': Type.String(), 'datastar-merge-fragments': Type.String() },
    interval: 1_000,
    shared: ({ params }) => params.library,
    payload: ({ params }) => formats[params.library](priceList())
  })
}

export default pageLibraries
