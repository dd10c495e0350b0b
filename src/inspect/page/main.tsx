import { options, render } from 'preact'
import { connection } from './connection.js'
import { showAll } from './parts/visible.js'
import { Shell } from './shell.js'

// Runs before any other code sees an element, so that no screen can forget it.
const before = options.vnode?.bind(options)
options.vnode = (element) => {
  showAll(element)
  before?.(element)
}

const page = document.getElementById('page')
if (page !== null) {
  page.replaceChildren()
  render(<Shell />, page)
  connection.open()
}
