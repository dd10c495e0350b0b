import { expect, inject, it } from 'vitest'
import { createActor, fromTransition } from 'xstate'

/** XState's development build refuses a bare string as an event; the production build lets it through. */
function loadedBuild(): 'development' | 'production' {
  const actor = createActor(fromTransition((count: number) => count + 1, 0)).start()
  try {
    actor.send('bare string' as never)
    return 'production'
  } catch {
    return 'development'
  }
}

it('loads the build of XState that this run is meant to prove', () => {
  expect(loadedBuild()).toBe(inject('xstateBuild'))
})
