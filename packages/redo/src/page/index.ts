export * from './header.ts';
export * from './index-tuple.ts';
export * from './item-pointer.ts';
export * from './items.ts';
export * from './line-pointer.ts';
export * from './mask.ts';
