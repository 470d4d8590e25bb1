// TypeScript that runs as it is under Node, with a client that needs fetch alone. Paths are from the
// root of the repository.
export default ['streaming', 'management'].map((document) => ({
  input: `./openapi/${document}.json`,
  output: { path: `target/sdks/typescript/src/${document}`, module: { extension: '.js' } },
  plugins: ['@hey-api/client-fetch', '@hey-api/typescript', '@hey-api/sdk'],
}));
