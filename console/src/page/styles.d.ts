// Styles are bundled; nothing is imported of them.
declare module '*.css';
