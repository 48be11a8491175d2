mod fates;
mod kit;
mod limits;
mod model;
mod shape;
mod starts;
mod steps;

use super::*;
