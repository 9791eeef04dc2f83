import { follow } from './connection.js'

const clock = document.querySelector('#clock')

for await (const { data } of follow('/time', { text: true })) {
  clock.dateTime = data
  clock.textContent = new Date(data).toLocaleTimeString([], { hourCycle: 'h23' })
}
