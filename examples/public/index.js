import { connect } from './connection.js'

const clock = document.querySelector('#clock')

connect('/time').addEventListener('message', ({ data }) => {
  clock.dateTime = data
  clock.textContent = new Date(data).toLocaleTimeString([], { hourCycle: 'h23' })
})
