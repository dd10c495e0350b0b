import { render } from 'preact'
import { connection } from './connection.js'
import { Shell } from './shell.js'

const page = document.getElementById('page')
if (page !== null) {
  page.replaceChildren()
  render(<Shell />, page)
  connection.open()
}
