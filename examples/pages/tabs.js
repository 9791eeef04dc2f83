import { sse } from 'fastify-sse-routes/client'

const user = 'ann'

const events = sse('/events', {
  // tabs with this name and this URL share one connection
  share: `events of ${user}`,
  onShare: ({ holds }) => { document.querySelector('p').textContent = holds ? 'This tab holds the connection' : 'Another tab holds the connection' }
})

// one stream for the page: each part of the page gets its events by their name
const parts = { news: showNews, weather: showWeather }

for await (const { event, data } of events) parts[event]?.(data)

function showNews ({ text }) {
  document.querySelector('ul').append(Object.assign(document.createElement('li'), { textContent: text }))
}

function showWeather ({ celsius }) {
  document.title = `${celsius} °C`
}
