/** What a test file has open, closed in the opposite order. */
export class Resources {
  readonly #open: AsyncDisposable[] = []

  use<Resource extends AsyncDisposable>(resource: Resource): Resource {
    this.#open.push(resource)
    return resource
  }

  readonly close = async (): Promise<void> => {
    for (let one = this.#open.pop(); one !== undefined; one = this.#open.pop()) await one[Symbol.asyncDispose]()
  }
}
