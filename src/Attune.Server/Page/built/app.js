/* Attune (MIT), with Preact (MIT, copyright (c) 2015-present Jason Miller). Made by npm run build of bce9da49774e42de3531a6965fd193becb3e249d580a2ef7fe45f52591e3f6bd */
var y,Dt,Nn,U,ct,Be,jt,De,Lt,dt,ut,Dn,we=Symbol.for("pv"),ze={},He=[],jn=/^m(i|n|o|s|text|space)$/,pt=Array.isArray,Xt=He.
slice,re=Object.assign;function ne(e){e&&e.parentNode&&e.remove()}function je(e,t,n,o,s){var a={type:e,props:t,key:n,ref:o,__k:null,__:null,__b:0,__e:null,__c:null,constructor:we,__v:s||
++Dt,__i:-1,__u:0};return!s&&y.vnode&&y.vnode(a),a}function R(e){return e.children}function Le(e,t){this.props=e,this.context=t,this.__g=0}function V(e,t){if(t==null)return e.
__&&V(e.__,e.__i+1);for(var n;t<e.__k.length;t++)if((n=e.__k[t])&&n.__e)return n.__e;return typeof e.type!="function"||e.
props.__P?null:V(e)}function Ln(e){var t,n=e.__v,o=n.__e,s=[],a=[],i=e.__P;i&&((t=re({constructor:we},n)).__v=n.__v+1,y.
vnode&&y.vnode(t),mt(i,t,n,e.__n,i.namespaceURI,32&n.__u?[o]:null,s,o||V(n),32&n.__u,a),t.__v=n.__v,t.__.__k[t.__i]=t,qt(
s,t,a),n.__=n.__e=null,t.__e!=o&&Bt(t))}function Bt(e){if((e=e.__)&&e.__c&&!e.props.__P)return e.__e=null,e.__k.some(function(t){
return t&&(e.__e=t.__e)}),Bt(e)}function At(e){(8&e.__g||(e.__g|=8,U.push(e),Be++))&&ct==y.debounceRendering||((ct=y.debounceRendering)||
queueMicrotask)(zt)}function zt(){try{for(var e,t=1;U.length;)U.length>t&&U.sort(jt),e=U.shift(),t=U.length,8&e.__g&&Ln(
e)}finally{(Be=U.length)&&(ct||queueMicrotask)(zt)}}function Ht(e,t,n,o,s,a,i,l,c,m,u){var f,p,d,h,w,b,x=o.__k||He,v=t.length;
for(c=Xn(n,t,x,c,v),f=0;f<v;f++)(d=n.__k[f])!=null&&(p=~d.__i&&x[d.__i]||ze,d.__i=f,b=mt(e,d,p,s,a,i,l,c,m,u),h=d.__e,(p.
ref!=d.ref||8&p.__u)&&(p.ref&&ft(p.ref,null,d,p),d.ref&&u.push(d.ref,d.__c||h,d)),w=w||h,4&d.__u?(c=It(d,c,e,!p.__v),p.__e&&
(p.__e=null)):typeof d.type=="function"&&b!==void 0?c=b:h&&(c=h.nextSibling),d.__u&=-21);return n.__e=w,c}function Xn(e,t,n,o,s){
var a,i,l,c,m,u,f,p,d,h=n.length,w=h,b=0,x=0,v=e.__k=Array(s);for(a=0;a<s;a++)(i=t[a])!=null&&typeof i!="boolean"&&typeof i!=
"function"?(typeof i!="object"||i.constructor===String?i=v[a]=je(null,i):pt(i)?i=v[a]=je(R,{children:i}):i.constructor===
we&&i.__b?i=v[a]=je(i.type,i.props,i.key,i.ref,i.__v):v[a]=i,c=a+b,i.__=e,i.__b=e.__b+1,l=null,~(m=i.__i=Bn(i,n,c,w))&&(w--,
(l=n[m])&&(l.__u|=2)),l&&l.__v?(i.__u|=16,m==c-1?b--:m==c+1?b++:m!=c&&(m>c?b--:b++,x=1)):(~m||(s>h?b--:s<h&&b++),typeof i.
type!="function"&&(i.__u|=4))):v[a]=null;if(x){for(u=[],f=[],a=0;a<s;a++)if((i=v[a])&&16&i.__u){for(b=0,p=u.length;b<p;)
u[d=b+p>>1]<i.__i?b=d+1:p=d;u[b]=i.__i,f[a]=b+1}for(b=u.length;a--;)f[a]&&(f[a]==b?b--:v[a].__u|=4)}if(w)for(a=0;a<h;a++)
!(l=n[a])||2&l.__u||(l.__e==o&&(o=V(l)),ht(l,l));return o}function It(e,t,n,o){var s,a,i,l;if(typeof e.type=="function"){
if(e.props.__P)return t;if(s=e.__k)for(a=0;a<s.length;a++)s[a]&&(s[a].__=e,t=It(s[a],t,n,!1));return t}for(t&&!t.parentNode&&
(t=V(e))&&!t.parentNode&&(t=null),i=e.__e,l=t;l&&l.nodeType==8;)l=l.nextSibling;for(i!=l&&(!o&&n.moveBefore&&i.parentNode?
n.moveBefore(i,t):n.insertBefore(i,t||null)),t=i;(t=t&&t.nextSibling)&&t.nodeType==8&&!t.data.startsWith("$s"););return t}function Bn(e,t,n,o){var s,a=e.key,i=e.type,l=t[n],c=l&&!(2&l.__u);if(l===null&&a==null||c&&a==l.key&&i==l.type)return n;
if(o>(c?1:0)){for(s=n-1;s>=0;s--)if((l=t[s])&&!(2&l.__u)&&a==l.key&&i==l.type)return s;for(s=n+1;s<t.length;s++)if((l=t[s])&&
!(2&l.__u)&&a==l.key&&i==l.type)return s}return-1}function Nt(e,t,n){n==null&&(n=""),t[0]=="-"?e.setProperty(t,n):e[t]=n}
function Ne(e,t,n,o,s){var a,i;if(t=="style")if(typeof n=="string")e.style.cssText=n;else{if(typeof o=="string"&&(e.style.
cssText=o=""),o)for(t in o)n&&t in n||Nt(e.style,t);if(n)for(t in n)o&&n[t]==o[t]||Nt(e.style,t,n[t])}else if(t[0]=="o"&&
t[1]=="n")typeof n!="function"&&(n=null),typeof o!="function"&&(o=null),(e.__e||(e.__e={}))[t]=n,n&&o||(i=ut[t]||(ut[t]=
zn(t)),(e.__a||(e.__a={}))[t]=dt,a=t!=(t=t.replace(Lt,"$1")),(t=t.slice(2))[0]<"a"&&(t=t.toLowerCase()),n?e.addEventListener(
t,i,a):e.removeEventListener(t,i,a));else{if(s=="http://www.w3.org/2000/svg")t=t.replace(/xlink(H|:h)/,"h").replace(/sName$/,
"s");else if(t!="width"&&t!="height"&&t!="href"&&t!="list"&&t!="form"&&t!="tabIndex"&&t!="download"&&t!="rowSpan"&&t!="c\
olSpan"&&t!="role"&&t!="popover"&&t in e)try{return void(e[t]=n??"")}catch{}if(typeof n=="function")return;n==null||n===
!1&&t[4]!="-"?e.removeAttribute(t):e.setAttribute(t,t=="popover"&&n==1?"":n)}}function zn(e){return function(t){var n=this.
__e;if(n){if(n=n[e],t[De]==null)t[De]=dt++;else if(t[De]<this.__a[e])return;return n(y.event?y.event(t):t)}}}function mt(e,t,n,o,s,a,i,l,c,m){
var u,f,p,d,h,w,b,x,v,M,k,lt,Ot,Ae,ee,Ft,q,te,I=t.type;if(t.constructor!==we)return null;128&n.__u&&(c=32&n.__u,u=n.__c.
__z)&&(t.__u|=c,f=a=[],u.nodeType==8?l=Xe(u,a):a.push(u),l=a[0]||l),(u=y.__b)&&u(t);e:if(typeof I=="function"){p=i.length;
try{if(x=t.props,v=(u=I.prototype)&&u.render,M=(u=I.contextType)&&o[u.__c],k=u?M?M.props.value:u.__:o,(d=n.__c)?(t.__c=d,
2&d.__g&&(d.__g|=1)):(v?t.__c=d=new I(x,k):(t.__c=d=new Le(x,k),d.constructor=I,d.render=In),M&&M.sub(d),d.state||(d.state=
{}),d.__n=o,d.__g|=8,d.__h=[],d.__k=[]),v&&(d.__s||(d.__s=d.state),I.getDerivedStateFromProps&&(d.__s==d.state&&(d.__s=re(
{},d.__s)),re(d.__s,I.getDerivedStateFromProps(x,d.__s)))),h=d.props,w=d.state,d.__v=t,n.__c){if(x!==h&&v&&!I.getDerivedStateFromProps&&
d.componentWillReceiveProps&&d.componentWillReceiveProps(x,k),t.__v==n.__v&&!(8&d.__g)||!(4&d.__g)&&d.shouldComponentUpdate&&
d.shouldComponentUpdate(x,d.__s,k)===!1){t.__v!=n.__v&&(d.props=x,d.state=d.__s,d.__g&=-9),t.__e=n.__e,t.__k=n.__k,t.__k.
some(function(L){L&&(L.__=t)}),He.push.apply(d.__h,d.__k),d.__k=[],d.__h.length&&i.push(d),l=V(n);break e}d.componentWillUpdate&&
d.componentWillUpdate(x,d.__s,k),v&&d.componentDidUpdate&&d.__h.push(function(){d.componentDidUpdate(h,w,b)})}else v&&!I.
getDerivedStateFromProps&&d.componentWillMount&&d.componentWillMount(),v&&d.componentDidMount&&d.__h.push(d.componentDidMount);
d.context=k,d.props=x,d.__P=e,d.__g&=-5,lt=y.__r,Ot=v?25:0;do d.__g&=-9,lt&&lt(t),u=d.render(d.props,d.state=d.__s,d.context);while(8&
d.__g&&++Ot<25);v&&(He.push.apply(d.__h,d.__k),d.__k=[]),d.state=d.__s,d.getChildContext&&(o=re({},o,d.getChildContext())),
v&&n.__c&&d.getSnapshotBeforeUpdate&&(b=d.getSnapshotBeforeUpdate(h,w)),Ae=u&&u.type===R&&u.key==null?u.props.children:u,
x.__P&&(u=l,s=(e=x.__P).namespaceURI,c=a=null,n.props&&n.props.__P!=e&&(n.__k.some(function(L){L&&ht(L,L)}),n.__k=null),
l=n.__k?V(n,0):null),l=Ht(e,pt(Ae)?Ae:[Ae],t,n,o,s,a,i,l,c,m),x.__P&&(t.__e=null,l=u),t.__u&=-161,f&&f.some(ne),d.__h.length&&
i.push(d),1&d.__g&&(d.__g&=-4)}catch(L){if(i.length=p,t.__v=null,c||a)if(L&&L.then){if(t.__u|=128|c,a){for(~(q=a.indexOf(
l||void 0))||(q=a.length);(te=a[q-1])&&te.nodeType==8;)q--;for(;q<a.length;q++)if(te=a[q])if(a[q]=null,ee){if(te==Ft)break}else{
if(te.nodeType!=8)break;te.data.startsWith("$s")&&(Ft=Xe(ee=te))}}if(!ee){for(;l&&l.nodeType==8&&l.nextSibling;)l=l.nextSibling;
ee=l}(u=Xe(ee=t.__c.__z||(t.__c.__z=ee)))?(t.__e=ee,l=u):t.__e=l,l=l&&l.nextSibling}else a&&a.some(ne);else t.__e=n.__e;
t.__k||(t.__k=n.__k||[]),L&&L.then||Wt(t),y.__e(L,t,n)}}else l=t.__e=Hn(n.__e,t,n,o,s,a,i,c,m,e);return(u=y.diffed)&&u(t),
l}function Xe(e,t){if(e&&e.nodeType==8&&e.data.startsWith("$s"))for(var n=1;e=e.nextSibling;){if(e.nodeType==8){if(e.data.
startsWith("$s"))n++;else if(e.data.startsWith("/$s")&&!--n)return e}t&&t.push(e)}}function Wt(e){e&&(e.__c&&(e.__c.__g|=
4),e.__k&&e.__k.some(Wt))}function qt(e,t,n){for(var o=0;o<n.length;)ft(n[o++],n[o++],n[o++]);y.__c&&y.__c(t,e),e.some(function(s){
try{e=s.__h,s.__h=[],e.some(function(a){a.call(s)})}catch(a){y.__e(a,s.__v)}})}function Hn(e,t,n,o,s,a,i,l,c,m){var u,f,
p,d,h,w,b,x,v=n.props||ze,M=t.props,k=t.type;if(k=="svg"?s="http://www.w3.org/2000/svg":k=="math"?s="http://www.w3.org/1\
998/Math/MathML":s||(s="http://www.w3.org/1999/xhtml"),a){for(u=0;u<a.length;u++)if((h=a[u])&&(k?h.localName==k:h.nodeType==
3)){e=h,a[u]=null;break}}if(!e){if(x=m.ownerDocument||document,!k)return x.createTextNode(M);e=x.createElementNS(s,k,M.is?
M:m),l&&(y.__m&&y.__m(t,a),l=!1),a=null}if(k){if(m=k=="template"&&e.content||e,a=k=="textarea"&&M.defaultValue!=null?null:
a&&Xt.call(m.childNodes),!l&&a)for(v={},u=0;u<e.attributes.length;u++)v[(h=e.attributes[u]).name]=h.value;for(u in v)h=v[u],
u=="dangerouslySetInnerHTML"?p=h:u=="children"||u in M||u=="value"&&"defaultValue"in M||u=="checked"&&"defaultChecked"in
M||Ne(e,u,null,h,s);for(u in M)h=M[u],u=="children"?d=h:u=="dangerouslySetInnerHTML"?f=h:u=="value"?w=h:u=="checked"?b=h:
l&&typeof h!="function"||v[u]===h||Ne(e,u,h,v[u],s);f?(l||p&&(f.__html==p.__html||f.__html==e.innerHTML)||(e.innerHTML=f.
__html),t.__k=[]):(p&&(e.textContent=""),(k=="foreignObject"||s=="http://www.w3.org/1998/Math/MathML"&&jn.test(k))&&(s="\
http://www.w3.org/1999/xhtml"),Ht(m,pt(d)?d:[d],t,n,o,s,a,i,a?a[0]:n.__k&&V(n,0),l,c),a&&a.some(ne)),l&&k!="textarea"||(u=
"value",k=="progress"&&w==null?e.removeAttribute(u):w==null||w===e[u]&&(k!="progress"||w)||Ne(e,u,w,v[u],s),u="checked",
b!=null&&b!=e[u]&&Ne(e,u,b,v[u],s))}else v===M||l&&e.data==M||(e.data=M);return e}function ft(e,t,n,o){try{typeof e=="fu\
nction"?t?t.__x=e(t)||1:o&&(o=o.__c||o.__e)&&(t=o.__x)&&(o.__x=null,typeof t=="function"?t():e(null)):e.current=t}catch(s){
y.__e(s,n)}}function ht(e,t,n){var o,s,a,i;if(y.unmount&&y.unmount(e),!(o=e.ref)||o.current&&o.current!=e.__e||ft(o,null,
t,e),o=e.__c){if(o.componentWillUnmount)try{o.componentWillUnmount()}catch(l){y.__e(l,t)}o.__P=o.__n=null}if(o=e.__k)for(i=
0;i<o.length;i++)o[i]&&ht(o[i],t,typeof e.type!="function"||n&&!e.props.__P);!n&&(o=e.__c)&&(o=o.__z)&&(s=Xe(o,a=[]))&&(o==
e.__e&&a.some(ne),ne(s),ne(o)),n||ne(e.__e),e.__e=e.__c=e.__=null}function In(e,t,n){return this.constructor(e,n)}function Ut(e,t){
var n,o,s,a;y.__&&y.__(e,t),t.nodeType==9&&(t=t.documentElement),o=(n=e&&32&e.__u)?null:t.__k,t.__k=je(R,{children:[e]}),
s=[],a=[],mt(t,t.__k,o||ze,ze,t.namespaceURI,o?null:t.firstChild?Xt.call(t.childNodes):null,s,o?o.__e:t.firstChild,n,a),
qt(s,t.__k,a),t.__k.props.children=null}y={__e:function(e,t,n,o){for(var s,a,i;t=t.__;)if((s=t.__c)&&!(1&s.__g)){s.__g|=4;try{if((i=(a=s.constructor)&&a.getDerivedStateFromError)&&
s.setState(a.getDerivedStateFromError(e)),s.componentDidCatch&&(s.componentDidCatch(e,o||{}),i=1),i&&8&s.__g)return void(s.
__g|=2)}catch(l){e=l}}throw Be=0,e}},Dt=0,Nn=function(e){return e!=null&&e.constructor===we},Le.prototype.setState=function(e,t){
var n=this.__s;n&&n!=this.state||(n=this.__s=re({},this.state)),typeof e=="function"&&(e=e(re({},n),this.props)),e&&(re(
n,e),this.__v&&(t&&this.__k.push(t),At(this)))},Le.prototype.forceUpdate=function(e){this.__v&&(this.__g|=4,e&&this.__h.
push(e),At(this))},Le.prototype.render=R,U=[],Be=0,jt=function(e,t){return e.__v.__b-t.__v.__b},De=Symbol(),Lt=/(PointerCapture)$|Capture$/i,
dt=0,ut={},Dn=0;var ke,J,gt,Vt,_t=Object.is,Ie=0,rn=[],vt=[],C=y,Gt=C.__b,Kt=C.__r,Qt=C.diffed,Yt=C.__c,Zt=C.unmount,en=C.__;function yt(e,t){
C.__h&&C.__h(J,e,Ie||t),Ie=0;var n=J.__H||(J.__H={__:[],__h:[]});return e>=n.__.length&&n.__.push({}),n.__[e]}function P(e){
return Ie=1,Wn(sn,e)}function Wn(e,t,n){var o=yt(ke++,2);if(o.t=e,!o.__c&&(o.__=[n?n(t):sn(void 0,t),function(a){var i=(o.
__N||o.__)[0],l=o.t(i,a);_t(i,l)||(o.__N=[l,o.__[1]],o.__c.setState({}))}],o.__c=J,!J.__f)){J.__f=!0;var s=J.shouldComponentUpdate;
J.shouldComponentUpdate=function(a,i,l){var c=this.__H;if(!c)return!0;var m=!1,u=this.props!=a;if(c.__.some(function(p){
p.__N&&(m=!0,_t(p.__[0],p.__N[0])||(u=!0))}),s){var f=s.call(this,a,i,l);return m?f||u:f}return!m||u}}return o.__}function B(e,t){
var n=yt(ke++,3);!C.__s&&on(n.__H,t)&&(n.__P=!0,n.__=e,n.u=t,J.__H.__h.push(n))}function de(e){return Ie=5,qn(function(){return{current:e}},[])}function qn(e,t){var n=yt(ke++,7);return on(n.__H,t)&&(n.__=e(),n.__H=t),n.__}function Un(){var e;do{for(;e=vt.shift();)try{xe(e)}catch(n){C.__e(n,{__:(e=e.__P)&&e.__v})}for(;e=rn.shift();){var t=e.
__H;if(e.__P&&t)try{t.__h.some(xe),t.__h.some(bt),t.__h=[]}catch(n){t.__h=[],C.__e(n,e.__v)}}}while(vt.length)}C.__b=function(e){
J=null,Gt&&Gt(e)},C.__=function(e,t){e&&t.__k&&t.__k.__m&&(e.__m=t.__k.__m),en&&en(e,t)},C.__r=function(e){Kt&&Kt(e),ke=
0;var t=(J=e.__c).__H;t&&(gt==J?J.__h=[]:(t.__h.some(xe),t.__h.some(bt),ke=0),t.__h=[],t.__.some(function(n){n.__N&&(n.__=
n.__N),n.u=n.__N=void 0})),gt=J},C.diffed=function(e){Qt&&Qt(e);var t=e.__c;t&&t.__H&&(t.__H.__h.length&&nn(rn.push(t)),
t.__H.__.some(function(n){n.u&&(n.__H=n.u)})),gt=J=null},C.__c=function(e,t){t.some(function(n){try{n.__h.some(xe),n.__h=
n.__h.filter(function(o){return!o.__||bt(o)})}catch(o){n.__h=[function(){throw o}]}}),Yt&&Yt(e,t)},C.unmount=function(e){
Zt&&Zt(e);var t,n,o=e.__c;o&&o.__H&&(o.__H.__.some(function(s){try{if(s.__P&&s.__c){if(n===void 0){for(n=e.__;n&&(!n.__c||
!n.__c.__P);)n=n.__;n=n&&n.__c}s.__P=n,nn(vt.push(s))}else xe(s)}catch(a){t=a}}),o.__H=void 0,t&&C.__e(t,o.__v))};var tn=typeof requestAnimationFrame==
"function";function Vn(e){var t,n=function(){clearTimeout(o),tn&&cancelAnimationFrame(t),setTimeout(e)},o=setTimeout(n,35);
tn&&(t=requestAnimationFrame(n))}function nn(e){e!=1&&Vt==C.requestAnimationFrame||((Vt=C.requestAnimationFrame)||Vn)(Un)}
function xe(e){var t=J,n=e.__c;typeof n=="function"&&(e.__c=void 0,n()),J=t}function bt(e){var t=J;e.__c=e.__(),J=t}function on(e,t){
return!e||e.length!=t.length||t.some(function(n,o){return!_t(n,e[o])})}function sn(e,t){return typeof t=="function"?t(e):
t}var z=class extends Error{constructor(n,o){super(o.message);this.status=n;this.body=o}status;body},an=()=>{};function ln(e){
an=e}async function Se(e,t){let n;try{n=await fetch(e,t)}catch{throw new z(0,{message:"The server does not answer. Is it\
 still running?",param:null,code:"unreachable"})}if(n.ok)return n;n.status===401&&an();let o=await n.json().catch(()=>null);
throw new z(n.status,o?.error??{message:`The server answered ${n.status}.`,param:null,code:""})}async function wt(e){return JSON.
parse((await e.text()).replace(/"seed":\s*(\d{16,})/g,'"seed":"$1"'))}function Gn(e){let t=We();return JSON.stringify(e,
(o,s)=>typeof s=="bigint"?`${t}${s}`:s).replace(new RegExp(`"${t}(\\d+)"`,"g"),"$1")}async function oe(e){return await wt(
await Se(e))}async function G(e){return(await oe(e)).data}async function Me(e,t,n={}){let o=await Se(e,{method:"POST",headers:{
"Content-Type":"application/json",...n},body:Gn(t)});return await wt(o)}async function cn(e,t){await Se(e,{method:"PATCH",
headers:{"Content-Type":"application/json"},body:JSON.stringify(t)})}async function xt(e){await Se(e,{method:"DELETE"})}
async function un(e){let t=await Se("/api/images/read",{method:"POST",body:e});return await wt(t)}function We(){return Array.
from(crypto.getRandomValues(new Uint8Array(16)),e=>e.toString(16).padStart(2,"0")).join("")}var Kn=Symbol.for("pv"),Qn=0;function r(e,t,n,o,s,a){t||(t={});var i,l,c=t;if("ref"in c&&typeof e!="function")for(l in c={},t)l=="ref"?i=t[l]:c[l]=t[l];
var m={type:e,props:c,key:n,ref:i,__k:null,__:null,__b:0,__e:null,__c:null,constructor:Kn,__v:--Qn,__i:-1,__u:0};return(s||
a)&&(m.__source=s,m.__self=a),y.vnode&&y.vnode(m),m}var Yn={star:"M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8z",trash:"M4 7h16M9 7V4.5h6V7m-8.5\
 0 .8 12.5h9.4L17.5 7M10 11v5m4-5v5",download:"M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",close:"M6 6l12 12M18 6 6 18",dice:"\
M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",copy:"M9 9h11v11H9zM15 9V4H4v11h5",sun:"M12 8a4 4 0 1 0 0 8\
 4 4 0 0 0 0-8zM12 2.5v2m0 15v2M2.5 12h2m15 0h2M5.3 5.3l1.4 1.4m10.6 10.6 1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",moon:"\
M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",auto:"M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",help:"M9 9.2a3 3 0 1 1 4\
.3 2.7c-.9.5-1.3 1-1.3 2.1M12 17.5h.01",open:"M4 7.5V18h16V9.5h-8.5L9.5 7.5z",back:"M14.5 5.5 8 12l6.5 6.5",next:"M9.5 5\
.5 16 12l-6.5 6.5",plus:"M12 5v14M5 12h14",code:"M9 7l-5 5 5 5M15 7l5 5-5 5"};function $({name:e,filled:t=!1}){return r(
"svg",{class:"icon",viewBox:"0 0 24 24",width:"20",height:"20","aria-hidden":"true",focusable:"false",fill:t?"currentCol\
or":"none",stroke:"currentColor","stroke-width":"1.8","stroke-linecap":"round","stroke-linejoin":"round",children:r("pat\
h",{d:Yn[e]})})}function F(e){let t=e.trim();return t===""||t==="none"||t==="default"?[]:t.split("+").map(n=>{let[o="",...s]=n.split(":"),
a={};for(let i of s.join(":").split(",")){let[l="",...c]=i.split("=");l.trim()!==""&&(a[l.trim()]=c.join("=").trim())}return{
name:o.trim(),values:a}})}function Te(e){return e.length===0?"none":e.map(t=>{let n=Object.entries(t.values).filter(([,o])=>o!==
"").map(([o,s])=>`${o}=${s}`);return n.length>0?`${t.name}:${n.join(",")}`:t.name}).join("+")}function pe(e,t){let n=e?.
rules.find(o=>o.name===t);return n?F(n.text)[0]??null:null}function me(e){return e.kind==="number"||e.kind==="integer"}function dn(e){
let t=10**Math.floor(Math.log10(e));return t*([1,2,5,10].find(n=>n*t>=e*.999)??10)}function qe(e,t,n){let o=[Number(t.default),
...n.map(c=>Number(pe(c,e.name)?.values[t.name]))],s=Math.max(...o.filter(Number.isFinite),.5),a=t.minimum??-s*2,i=t.maximum??
Math.max(dn(s*2),a+1),l=t.kind==="integer"?1:Math.min(dn((i-a)/200),.5);return{min:a,max:i,step:l}}function Ce(e){return String(
Number(e.toPrecision(6)))}var T=class{constructor(t){this.current=t}current;watchers=new Set;get value(){return this.current}set(t){if(t!==this.current){
this.current=t;for(let n of[...this.watchers])n()}}change(t){this.set({...this.current,...t})}watch(t){return this.watchers.
add(t),()=>this.watchers.delete(t)}};function _(e){let[,t]=P({});return B(()=>e.watch(()=>t({})),[e]),e.value}function K(e){
try{return JSON.parse(localStorage.getItem(`attune.${e}`)??"null")}catch{return null}}function se(e,t){try{localStorage.
setItem(`attune.${e}`,JSON.stringify(t))}catch{}}var S=new T(null),Ge=new T(null);async function Ye(){try{let[e,t,n,o,s]=await Promise.all([G("/api/models"),G("/api/guid\
ance"),G("/api/presets"),G("/api/options"),oe("/api/status")]);Ge.set(null),S.set({models:e,rules:t,families:n,options:o,
status:s});let[a]=Mt(D(g.value.model));if(!er&&a&&g.change({prompt:a[0],negative:a[1],seed:String(a[2])}),fn(),await Promise.
all([ve(),Q()]),hn(),E.value===null){let i=H.value[0];i&&E.set({kind:"set",id:i.id})}}catch(e){Ge.set(X(e))}}function X(e){
return e instanceof Error?e.message:String(e)}var pn={scenes:[["a lion on a blue background","crown",7],["a panda on a b\
lue background","sunglasses",5],["a fox on a green background","hat",4]],other:[["a red fox in fresh snow at sunrise, ph\
otograph","blurry, text",7],["a small wooden house by a lake, watercolour","people",5]]};function Mt(e){return e?.attune.
family?.startsWith("scenes")?pn.scenes:pn.other}var Zn={mode:"compare",prompt:"",negative:"",model:"",guidance:"default",
rules:[],size:"",steps:"",seed:"7",newSeed:!0,count:4,scheduler:"",more:{},trace:!0,grid:{parameter:"",from:"",to:"",count:4},
picture:null},er=K("form")!==null,g=new T({...Zn,...K("form"),picture:null});g.watch(()=>{se("form",{...g.value,picture:null}),
fn()});function D(e){let t=S.value?.models??[];return t.find(n=>n.id===(e||S.value?.status.default_model))??t[0]}function Tt(e){
return S.value?.families.find(t=>t.family===e?.attune.family)}function mn(e){let t={prompt:e.prompt,guidance:Ze(e),preview:!0};
e.negative.trim()!==""&&(t.negative_prompt=e.negative),e.model!==""&&(t.model=e.model),e.size!==""&&(t.size=e.size),e.steps!==
""&&(t.steps=Number(e.steps)),e.seed!==""&&(t.seed=BigInt(e.seed)),e.scheduler!==""&&(t.scheduler=e.scheduler),e.trace&&
(t.trace=!0);let n=et(D(e.model));for(let o of n){let s=e.more[o.key];s===void 0||s===""||(t[o.key]=o.kind==="flag"?s===
"true":o.kind==="integer"||o.kind==="number"?Number(s):s)}return e.picture&&(t.images=[{image_url:e.picture.data}]),t}function Ze(e){
return e.guidance==="own"?Te(e.rules):e.guidance}var tr=new Set(["prompt","negative_prompt","steps","seed","width","heig\
ht","count","guidance","scheduler"]);function et(e){let t=new Set(e?.attune.takes??[]);return(S.value?.options??[]).filter(
n=>!tr.has(n.key)&&(n.takes===void 0||t.has(n.takes)))}function Re(e){return Tt(D(e.model))?.guidance??"none"}function tt(e){
let[t,n]=[Number(e.from),Number(e.to)];if(e.from===""||e.to===""||!Number.isFinite(t)||!Number.isFinite(n))return[];let o=e.
parameter==="steps"||e.parameter.endsWith(".norm"),s=Array.from({length:e.count},(a,i)=>t+(n-t)*i/Math.max(e.count-1,1));
return[...new Set(s.map(a=>String(o?Math.round(a):Number(a.toPrecision(3)))))]}function nr(e,t,n,o){if(!t.includes("."))
return{...e,[t]:Number(n)};let[s,a]=t.split("."),i=e.guidance==="default"?o:String(e.guidance),l=F(i).map(c=>c.name===s?
{...c,values:{...c.values,[a]:n}}:c);return{...e,guidance:Te(l)}}var j=new T({answer:null,error:null}),Ue=0;async function fn(){
let e=++Ue;if(await new Promise(t=>setTimeout(t,250)),!(e!==Ue||S.value===null))try{let t=await Me("/api/check",mn(g.value));
e===Ue&&j.set({answer:t,error:null})}catch(t){e===Ue&&t instanceof z&&t.status!==401&&j.set({answer:null,error:t.body})}}
var rr=24,H=new T(K("sets")??[]);function or(e){H.set([e,...H.value].slice(0,rr)),se("sets",H.value)}var E=new T(null);E.
watch(()=>{let e=E.value?.kind==="picture"?`#picture=${E.value.id}`:"";location.hash!==e&&history.replaceState(null,"",e===
""?location.pathname:e)});function hn(){let e=/^#picture=([0-9a-z]{26})$/.exec(location.hash)?.[1];e!==void 0&&le(e)}addEventListener(
"hashchange",hn);async function le(e){if(!Y(e))try{_e([await oe(`/api/images/${e}`)])}catch(t){A(X(t));return}E.set({kind:"\
picture",id:e})}var Pe=new T(!1),he=new T(null);async function sr(e){let t={"Idempotency-Key":We()};for(let n=0;;n++)try{
let o=await Me("/api/jobs",e,t);return rt(o),o}catch(o){if(n>=2||!(o instanceof z)||o.status!==0)throw o;await new Promise(
s=>setTimeout(s,500))}}async function ce(e=g.value){if(Pe.value)return;Pe.set(!0),he.set(null);let t=[];try{e.seed===""&&
(e={...e,seed:Ke()});let n=await ar(e,t);or(n),E.set({kind:"set",id:n.id}),g.value.newSeed&&g.change({seed:Ke()}),document.
querySelector("#stage")?.scrollIntoView({block:"nearest"})}catch(n){for(let o of t)be(o.id);he.set(n instanceof z?n.body:
{message:X(n),param:null,code:""})}finally{Pe.set(!1),ve()}}async function ar(e,t){let n=mn(e),o=BigInt(e.seed),s={id:We(),
kind:e.mode,prompt:String(n.prompt),cells:[],columns:[],rows:[],axis:""},a=async i=>{let l=await sr(i);return t.push(l),
l};if(e.mode==="compare"){let i={...n,guidance:Re(e)};i.guidance==="none"&&delete i.negative_prompt;let l=await a(i),c=await a(
n),m=F(j.value.answer?.guidance??Ze(e)).map(u=>u.name.toUpperCase());s.cells=[{job:l.id,index:0,label:i.guidance==="none"?
"Without guidance":`With ${i.guidance} alone`},{job:c.id,index:0,label:m.length>0?`With ${m.join(" + ")}`:"As asked"}]}else if(e.
mode==="grid"){let i=tt(e.grid),l=Math.max(e.count,1);s.axis=e.grid.parameter,s.columns=i,s.rows=Array.from({length:l},(m,u)=>`\
seed ${o+BigInt(u)}`);let c=[];for(let m of i){let u=nr({...n,n:l},e.grid.parameter,m,j.value.answer?.guidance??"default");
c.push(await a(u))}for(let m=0;m<l;m++)for(let[u,f]of c.entries())s.cells.push({job:f.id,index:m,label:`${e.grid.parameter}\
 ${i[u]}, seed ${o+BigInt(m)}`})}else{let i=e.mode==="seeds"?e.count:1,l=await a({...n,n:i});s.cells=Array.from({length:i},
(c,m)=>({job:l.id,index:m,label:`seed ${o+BigInt(m)}`}))}return s}function Ke(){return String(crypto.getRandomValues(new Uint32Array(
1))[0])}var O=new T(new Map),W=new T(new Map),nt=new T(""),Ve=new Map,ae=e=>e.status==="queued"||e.status==="running";function ge(e){
return[...e.values()].filter(ae).sort((t,n)=>(t.position??-1)-(n.position??-1)||t.created-n.created)}function rt(...e){let t=new Map(
O.value);for(let n of e)t.set(n.id,n);O.set(t),_e(e.flatMap(n=>n.images))}async function ve(){try{let e=await G("/api/jo\
bs?limit=100"),t=[...O.value.values()].filter(i=>ae(i)&&!e.some(l=>l.id===i.id)),o=((E.value?.kind==="set"?H.value.find(
i=>i.id===E.value.id):H.value[0])?.cells??[]).map(i=>i.job).filter(i=>!O.value.has(i)&&!e.some(l=>l.id===i)),s=await Promise.
all([...new Set([...t.map(i=>i.id),...o])].map(gn)),a=[...O.value.values()].filter(ae).length;rt(...e,...s.filter(i=>i!==
null)),a>0&&ge(O.value).length===0&&Q(),ir()}catch{}}async function gn(e){try{return await oe(`/api/jobs/${e}`)}catch{return O.
value.has(e)?{...O.value.get(e),status:"cancelled"}:null}}async function fe(e){let t=await gn(e);t&&rt(t)}function ir(){
let e=ge(O.value).filter(n=>n.status==="running").slice(0,2),t=ge(O.value)[0];for(let n of e.length>0?e:t?[t]:[])Ve.has(
n.id)||lr(n.id)}function lr(e){let t=new EventSource(`/api/jobs/${e}/events`);Ve.set(e,t);let n=(s,a)=>t.addEventListener(
s,i=>a(JSON.parse(i.data))),o=()=>{t.close(),Ve.delete(e),fe(e).then(()=>{cr(e),ur(e),Q(),ve()})};n("started",({image:s})=>{
let a=O.value.get(e);a&&rt({...a,status:"running"}),kt(e,{image:s,index:0,count:0,preview:null})}),n("step",s=>kt(e,{image:s.
image,index:s.index,count:s.count,preview:W.value.get(e)?.preview??null})),n("preview",s=>kt(e,{image:s.image,index:s.index,
count:s.count,preview:`data:image/png;base64,${s.b64_json}`})),n("image",()=>{fe(e)});for(let s of["completed","cancelle\
d","failed"])n(s,o);t.addEventListener("error",()=>{t.readyState===EventSource.CLOSED&&(Ve.delete(e),fe(e))})}function kt(e,t){
W.set(new Map(W.value).set(e,t))}function cr(e){let t=new Map(W.value);t.delete(e),W.set(t)}function ur(e){let t=O.value.
get(e);if(!t)return;let n=t.count===1?"The picture":`${t.images.length} of ${t.count} pictures`;nt.set(t.status==="compl\
eted"?`${n} made: ${String(t.request.prompt)}`:t.status==="failed"?`Failed: ${t.error?.message??""}`:"Cancelled.")}async function be(e){
try{await xt(`/api/jobs/${e}`)}catch(t){A(X(t))}await fe(e),ve()}var dr=1500;setInterval(()=>{document.visibilityState===
"visible"&&S.value&&ge(O.value).length>0&&ve()},dr);document.addEventListener("visibilitychange",()=>{document.visibilityState===
"visible"&&S.value&&Promise.all([ve(),Q()])});var Qe=48,N=new T({ids:[],more:!1,starred:!1}),ie=new T(new Map),St=new Set;
function Y(e){return ie.value.get(e)}function _e(e){if(e.length===0)return;let t=new Map(ie.value);for(let n of e)t.set(
n.id,n);ie.set(t)}async function Q(){let{starred:e}=N.value;try{let t=await G(`/api/images?limit=${Qe}&starred=${e}`);if(N.
value.starred!==e)return;_e(t),N.set({ids:t.map(n=>n.id).filter(n=>!St.has(n)),more:t.length===Qe,starred:e})}catch(t){A(
X(t))}}async function _n(){let{ids:e,starred:t}=N.value,n=await G(`/api/images?limit=${Qe}&starred=${t}&before=${e.at(-1)??
""}`);_e(n),N.change({ids:[...e,...n.map(o=>o.id)],more:n.length===Qe})}async function ot(e){_e([{...e,starred:!e.starred}]);
try{await cn(`/api/images/${e.id}`,{starred:!e.starred})}catch(t){_e([e]),A(X(t))}}function vn(e){St.add(e.id);let{ids:t}=N.
value,n=t[t.indexOf(e.id)+1]??t[t.indexOf(e.id)-1];N.change({ids:t.filter(o=>o!==e.id)}),E.value?.kind==="picture"&&E.value.
id===e.id&&E.set(n?{kind:"picture",id:n}:null),A("The picture is deleted.",{label:"Undo",act:()=>{St.delete(e.id),Q()},otherwise:()=>{
xt(`/api/images/${e.id}`).then(Q,o=>A(X(o)))}})}function ye(e,t=!0){let n=c=>e[c]===void 0||e[c]===null?"":String(e[c]),
o=n("guidance"),s=F(o),a=S.value?.models.find(c=>c.id===n("model"))?.id??"",i=n("width")!==""&&n("height")!==""?`${n("wi\
dth")}x${n("height")}`:"",l={};for(let c of et(D(a)))n(c.key)!==""&&(l[c.key]=n(c.key));g.change({mode:"picture",prompt:n(
"prompt"),negative:n("negative_prompt"),model:a,guidance:o===""||o==="default"?"default":s.length===0?"none":"own",rules:s,
more:l,size:i===D(a)?.attune.default_size?"":i,steps:n("steps"),scheduler:n("scheduler"),...t?{seed:n("seed"),newSeed:!1}:
{}}),he.set(null)}var pr=e=>(e?.attune.takes??[]).some(t=>t==="image"||t==="references");async function Je(e){try{let{parameters:t}=await un(
e);t?(ye(t),A(`The settings of ${e.name} are recalled.`),nt.set("Settings recalled.")):pr(D(g.value.model))?(await Ct(e),
A(`${e.name} says nothing of how it was made; the next picture begins with it.`)):A(`${e.name} says nothing of how it wa\
s made.`)}catch(t){A(X(t))}}async function Ct(e){let t=await new Promise((n,o)=>{let s=new FileReader;s.onload=()=>n(String(
s.result)),s.onerror=()=>o(new Error(`${e.name} cannot be read.`)),s.readAsDataURL(e)});g.change({picture:{name:e.name,data:t}})}
var $e=new T(null),bn=0;function A(e,t){Ee(!1),$e.set({text:e,...t}),bn=window.setTimeout(()=>Ee(!1),t?7e3:4500)}function Ee(e){
clearTimeout(bn);let t=$e.value;$e.set(null),e?t?.act?.():t?.otherwise?.()}addEventListener("pagehide",()=>Ee(!1));function yn(){let e=_(g),t=_(S),{answer:n}=_(j),o=Tt(D(e.model)),s=()=>{let i=F(n?.guidance??"none");if(i.length>0)return i;
let l=o?.rules[0]?.name??"nag";return[pe(o,l)??Pt(t.rules.find(c=>c.name===l))]},a=i=>g.change(i==="own"?{guidance:i,rules:e.
guidance==="own"?e.rules:s()}:{guidance:i});return r("fieldset",{class:"card guidance",children:[r("legend",{children:"G\
uidance"}),r("div",{class:"segments",role:"group","aria-label":"Which guidance",children:[r(Z,{name:"guidance",value:"de\
fault",chosen:e.guidance,choose:a,text:"Automatic"}),r(Z,{name:"guidance",value:"none",chosen:e.guidance,choose:a,text:"\
None"}),r(Z,{name:"guidance",value:"own",chosen:e.guidance,choose:a,text:"My own"})]}),e.guidance==="default"&&r(mr,{text:n?.
guidance,rules:t.rules,adjust:()=>a("own")}),e.guidance==="none"&&r("p",{class:"hint",children:"The plain model. Nothing\
 reads the negative prompt."}),e.guidance==="own"&&r(fr,{asked:e,rules:t.rules,families:t.families,family:o})]})}function Z({
name:e,value:t,chosen:n,choose:o,text:s}){return r("label",{children:[r("input",{type:"radio",name:e,value:t,checked:n===
t,onChange:()=>o(t)}),r("span",{children:s})]})}function mr({text:e,rules:t,adjust:n}){let o=F(e??"none");return o.length===
0?r("p",{class:"hint",children:"What is published for this model: none without a negative prompt. Write one, and a rule \
that reads it turns on."}):r("div",{class:"resolved",children:[o.map(s=>{let a=t.find(l=>l.name===s.name),i=Object.entries(
s.values).filter(([l])=>a?.parameters.some(c=>c.name===l&&me(c)));return r("p",{children:[r("strong",{children:a?.title??
s.name})," ",i.map(([l,c])=>r("code",{children:[l," ",c]},l))]},s.name)}),r("p",{class:"hint",children:"The published va\
lues for this model."}),r("button",{type:"button",class:"small",onClick:n,children:"Adjust"})]})}function Pt(e){return e?
F(e.text)[0]??{name:e.name,values:{}}:{name:"nag",values:{}}}function fr({asked:e,rules:t,families:n,family:o}){let s=c=>g.
change({rules:c}),a=t.filter(c=>!e.rules.some(m=>m.name===c.name)),i=c=>o?.rules.some(m=>m.name===c.name)??!1,l=c=>{let m=t.
find(u=>u.name===c);m&&s([...e.rules,pe(o,c)??Pt(m)])};return r(R,{children:[e.rules.map((c,m)=>{let u=t.find(f=>f.name===
c.name);return u&&r(gr,{rule:u,chosen:c,families:n,family:o,change:f=>s(e.rules.map((p,d)=>d===m?f:p)),remove:()=>s(e.rules.
filter((f,p)=>p!==m))},c.name)}),r("label",{class:"add",children:[r("span",{class:"name",children:"Add a rule"}),r("sele\
ct",{value:"",onChange:c=>{l(c.currentTarget.value),c.currentTarget.value=""},children:[r("option",{value:"",children:"C\
hoose…"}),[["Published for this model",a.filter(i)],["Others",a.filter(c=>!i(c))]].map(([c,m])=>m.length>0&&r("optgrou\
p",{label:c,children:m.map(u=>r("option",{value:u.name,children:u.title??u.name},u.name))},c))]})]}),r(hr,{asked:e,set:s})]})}
function hr({asked:e,set:t}){let[n,o]=P(null),{error:s}=_(j);return r("label",{children:[r("span",{class:"name",children:"\
As text, as on the command line"}),r("input",{type:"text",class:"mono",spellcheck:!1,autocomplete:"off",value:n??Te(e.rules),
"aria-invalid":s?.param==="guidance",onFocus:()=>o(Ze(e)),onInput:a=>{o(a.currentTarget.value),t(F(a.currentTarget.value))},
onBlur:()=>o(null)})]})}function gr({rule:e,chosen:t,families:n,family:o,change:s,remove:a}){let i=(p,d)=>s({...t,values:{
...t.values,[p]:d}}),l=n.filter(p=>p.rules.some(d=>d.name===e.name)),c=pe(o,e.name)??Pt(e),[m,u]=P(""),f=n.find(p=>p.family===
m)?.rules.find(p=>p.name===e.name)??o?.rules.find(p=>p.name===e.name);return r("section",{class:"rule","aria-label":e.title??
e.name,children:[r("header",{children:[r("h3",{children:e.title??e.name}),r("button",{type:"button",class:"plain","aria-\
label":`Remove ${e.name}`,title:"Remove",onClick:a,children:r($,{name:"close"})})]}),r("p",{class:"hint",children:e.about}),
e.more_passes>0&&r("p",{class:"hint",children:["Costs ",e.more_passes===1?"one more pass":`${e.more_passes} more passes`,
" a step."]}),e.parameters.filter(me).map(p=>r(_r,{rule:e,parameter:p,families:n,value:t.values[p.name]??p.default,plain:c.
values[p.name]??p.default,set:d=>i(p.name,d)},p.name)),r("details",{children:[r("summary",{children:["More of ",e.name]}),
e.parameters.filter(p=>!me(p)).map(p=>r("label",{children:[r("span",{class:"name",children:p.name}),p.kind==="choice"?r(
"select",{value:t.values[p.name]??p.default,onChange:d=>i(p.name,d.currentTarget.value),children:p.choices.map(d=>r("opt\
ion",{value:d,children:d},d))}):r("input",{type:"text",class:"mono",value:t.values[p.name]??"",placeholder:p.default,onInput:d=>i(
p.name,d.currentTarget.value)}),r("span",{class:"hint",children:p.about})]},p.name)),r("label",{children:[r("span",{class:"\
name",children:"Values published for"}),r("select",{value:m,onChange:p=>{u(p.currentTarget.value);let d=pe(n.find(h=>h.family===
p.currentTarget.value),e.name);d&&s(d)},children:[r("option",{value:"",children:f&&m===""?"this model":"Choose a model…"}),
l.map(p=>r("option",{value:p.family,children:p.title},p.family))]}),f&&r("span",{class:"hint",children:[f.origin,": ",f.
source]})]})]})]})}function _r({rule:e,parameter:t,families:n,value:o,plain:s,set:a}){let{min:i,max:l,step:c}=qe(e,t,n),
m=Number(o),u=Number.isFinite(m)?m:o.startsWith("inf")?l:i,f=`${e.name}-${t.name}`,p=Math.min(Math.max((u-i)/(l-i),0),1);
return r("div",{class:"slider",children:[r("label",{for:f,class:"name",children:t.name}),o!==s&&r("button",{type:"button",
class:"reset",onClick:()=>a(s),"aria-label":`Set ${t.name} back to ${s}`,children:["back to ",s]}),r("input",{type:"text",
inputmode:"decimal",class:"number","aria-label":`${t.name}, ${t.range??"any number"}`,value:o,onChange:d=>a(d.currentTarget.
value.trim()||s)}),r("input",{type:"range",id:f,min:i,max:l,step:c,value:u,style:{"--part":p},"aria-describedby":`${f}-a\
bout`,"aria-valuetext":o,onInput:d=>a(Ce(d.currentTarget.valueAsNumber))}),r("p",{class:"hint",id:`${f}-about`,children:[
t.about," ",r("span",{class:"range",children:t.range})]})]})}function wn(){let e=_(g),t=D(e.model),{answer:n,error:o}=_(j),s=_(he),a=n&&n.reads_negative===!1&&e.negative.trim()!=="";
return r("form",{class:"composer","aria-label":"What to make",onSubmit:i=>{i.preventDefault(),ce()},children:[r("div",{class:"\
card words",children:[r("label",{children:[r("span",{class:"name",children:"Prompt"}),r("textarea",{id:"prompt",rows:2,value:e.
prompt,placeholder:"What the picture shows",required:!0,"aria-invalid":(s??o)?.param==="prompt",onInput:i=>g.change({prompt:i.
currentTarget.value})})]}),r("label",{class:"negative",children:[r("span",{class:"name",children:"Not in the picture"}),
r("textarea",{id:"negative",rows:1,value:e.negative,placeholder:"The negative prompt","aria-describedby":"negative-help",
onInput:i=>g.change({negative:i.currentTarget.value})})]}),r("p",{id:"negative-help",class:a?"warning":"hint",role:"stat\
us",children:a?"Nobody reads the negative prompt: the guidance has no rule that does. Choose Automatic, or add nag.":e.negative.
trim()===""?"Works in few steps too: guidance in attention reads it.":""}),r("p",{class:"examples",children:[r("span",{class:"\
hint",children:"Try"}),Mt(t).map(([i,l,c])=>r("button",{type:"button",class:"chip",onClick:()=>g.change({prompt:i,negative:l,
seed:String(c)}),children:[i," ",r("span",{class:"not",children:["not ",l]})]},i))]})]}),r(yr,{asked:e}),r(yn,{}),r(Sr,{
asked:e}),r(Mr,{asked:e}),r("div",{class:"go",children:[r(br,{}),r("button",{type:"submit",class:"primary",disabled:_(Pe),
"aria-keyshortcuts":"Control+Enter",children:[vr(e)," ",r("kbd",{"aria-hidden":"true",children:"Ctrl ⏎"})]})]})]})}function vr(e){
let t=e.mode==="grid"?tt(e.grid).length*e.count:e.count;return{picture:"Make the picture",compare:"Make both pictures",seeds:`\
Make ${t} pictures`,grid:`Make ${t} pictures`}[e.mode]}function br(){let{answer:e,error:t}=_(j),n=_(he)??t,o=e?.seconds??
0,s=(e?.warnings??[]).filter(a=>!a.startsWith("No guidance rule reads"));return r("div",{class:"warnings",children:[r("d\
iv",{role:"alert",children:n&&r("p",{class:"error",children:n.message})}),r("div",{role:"status",children:[s.map(a=>r("p",
{class:"warning",children:a},a)),!n&&e&&e.size&&r("p",{class:"hint",children:[e.size.replace("x"," × "),", ",e.steps," \
steps",o>=5?`, about ${Math.round(o)} s`:""]})]})]})}function yr({asked:e}){let t=o=>{let s=o==="grid"&&e.grid.parameter===
""?kn(xn(e)[0]?.key??"steps",e):e.grid;g.change({mode:o,grid:s,count:o==="grid"?Math.min(e.count,2):e.count})},n=Re(e);return r(
"fieldset",{class:"card",children:[r("legend",{children:"Make"}),r("div",{class:"segments four",role:"group","aria-label":"\
What to make",children:[r(Z,{name:"mode",value:"compare",chosen:e.mode,choose:t,text:"Compare"}),r(Z,{name:"mode",value:"\
picture",chosen:e.mode,choose:t,text:"Picture"}),r(Z,{name:"mode",value:"seeds",chosen:e.mode,choose:t,text:"Seeds"}),r(
Z,{name:"mode",value:"grid",chosen:e.mode,choose:t,text:"Grid"})]}),e.mode==="compare"&&r("p",{class:"hint",children:["T\
he same seed twice: ",n==="none"?"without guidance":`with ${n} alone`,", and as you ask."]}),e.mode==="seeds"&&r(wr,{asked:e,
text:"Pictures",most:10,about:"Seeds that follow one another."}),e.mode==="grid"&&r(xr,{asked:e})]})}function wr({asked:e,
text:t,most:n,about:o}){return r("label",{class:"line",children:[r("span",{class:"name",children:t}),r("input",{type:"nu\
mber",class:"number",min:1,max:n,value:e.count,onChange:s=>g.change({count:Math.min(Math.max(Math.round(s.currentTarget.
valueAsNumber)||1,1),n)})}),r("span",{class:"hint",children:o})]})}function xn(e){let t=e.guidance==="own"?e.rules:F(j.value.
answer?.guidance??"none"),n=S.value?.rules??[];return[...t.flatMap(o=>(n.find(s=>s.name===o.name)?.parameters??[]).filter(
me).map(s=>({key:`${o.name}.${s.name}`,text:`${o.name}: ${s.name}`}))),{key:"steps",text:"steps"},...D(e.model)?.attune.
takes.includes("guidance_scale")?[{key:"guidance_scale",text:"embedded guidance"}]:[]]}function kn(e,t){let n=D(t.model),
[o,s]=e.split("."),a=S.value?.rules.find(p=>p.name===o),i=a?.parameters.find(p=>p.name===s);if(!a||!i){let p=n?.attune.default_steps??
4;return{parameter:e,from:"1",to:e==="steps"?String(p*2):"7",count:4}}let{min:l,max:c}=qe(a,i,S.value?.families??[]),m=t.
guidance==="own"?t.rules:F(j.value.answer?.guidance??"none"),u=Number(m.find(p=>p.name===o)?.values[i.name]??i.default),
f=i.maximum===void 0&&u>0?Math.min(u*2,c):c;return{parameter:e,from:Ce(l),to:Ce(f),count:i.kind==="integer"?Math.min(c-l+
1,4):4}}function xr({asked:e}){_(j);let{grid:t}=e,n=xn(e),o=a=>g.change({grid:{...t,...a}}),s=(a,i)=>r("label",{children:[
r("span",{class:"name",children:i}),r("input",{type:"text",inputmode:"decimal",class:"number",value:t[a],onChange:l=>o({
[a]:l.currentTarget.value})})]});return r(R,{children:[r("label",{children:[r("span",{class:"name",children:"Over"}),r("\
select",{value:t.parameter,onChange:a=>g.change({grid:kn(a.currentTarget.value,e)}),children:[n.every(a=>a.key!==t.parameter)&&
r("option",{value:t.parameter,children:[t.parameter," (does not act now)"]}),n.map(a=>r("option",{value:a.key,children:a.
text},a.key))]})]}),r("div",{class:"fields",children:[s("from","From"),s("to","To"),r("label",{children:[r("span",{class:"\
name",children:"Values"}),r("input",{type:"number",class:"number",min:2,max:8,value:t.count,onChange:a=>o({count:Math.min(
Math.max(Math.round(a.currentTarget.valueAsNumber)||2,2),8)})})]}),r("label",{children:[r("span",{class:"name",children:"\
Seeds"}),r("input",{type:"number",class:"number",min:1,max:6,value:e.count,onChange:a=>g.change({count:Math.min(Math.max(
Math.round(a.currentTarget.valueAsNumber)||1,1),6)})})]})]}),r("p",{class:"hint",children:tt(t).join(", ")})]})}function kr(e){
let[t=512,n=512]=(e?.attune.default_size??"").split("x").map(Number),o=e?.attune.size_multiple??16,s=t*n,a=i=>Math.max(Math.
round(i/o),1)*o;return[[1,1],[4,3],[3,4],[3,2],[2,3],[16,9],[9,16]].map(([i,l])=>`${a(Math.sqrt(s*i/l))}x${a(Math.sqrt(s*
l/i))}`).filter((i,l,c)=>c.indexOf(i)===l)}function Sr({asked:e}){let t=D(e.model),n=t?.attune.default_size??"",o=[...new Set(
[n,...kr(t),...e.size!==""?[e.size]:[]])];return r("fieldset",{class:"card",children:[r("legend",{children:"Picture"}),r(
"div",{class:"fields",children:[r("label",{children:[r("span",{class:"name",children:"Size"}),r("select",{value:e.size===
""?n:e.size,onChange:s=>g.change({size:s.currentTarget.value===n?"":s.currentTarget.value}),children:o.map(s=>r("option",
{value:s,children:[s.replace("x"," × "),s===n?" (the model's)":""]},s))})]}),r("label",{children:[r("span",{class:"name",
children:"Steps"}),r("input",{type:"number",class:"number",min:1,max:t?.attune.max_steps,value:e.steps,placeholder:String(
t?.attune.default_steps??""),onInput:s=>g.change({steps:s.currentTarget.value})})]})]}),r("div",{class:"seed",children:[
r("label",{children:[r("span",{class:"name",children:"Seed"}),r("input",{type:"text",inputmode:"numeric",pattern:"[0-9]*",
value:e.seed,placeholder:"by chance",onInput:s=>g.change({seed:s.currentTarget.value.replace(/\D/g,"").slice(0,18)})})]}),
r("button",{type:"button",class:"plain",title:"Another seed","aria-label":"Another seed",onClick:()=>g.change({seed:Ke()}),
children:r($,{name:"dice"})}),r("label",{class:"check",children:[r("input",{type:"checkbox",checked:e.newSeed,onChange:s=>g.
change({newSeed:s.currentTarget.checked})}),r("span",{children:"another one each time"})]})]})]})}function Mr({asked:e}){
let t=D(e.model),n=S.value,o=t?.attune.takes.some(s=>s==="image"||s==="references");return r("details",{class:"card more",
children:[r("summary",{children:"More"}),n.models.length>1&&r("label",{children:[r("span",{class:"name",children:"Model"}),
r("select",{value:t?.id,onChange:s=>g.change({model:s.currentTarget.value,size:"",steps:""}),children:n.models.map(s=>r(
"option",{value:s.id,children:s.id},s.id))})]}),o&&r("div",{class:"begin",children:[r("label",{children:[r("span",{class:"\
name",children:"Begin with a picture"}),r("input",{type:"file",accept:"image/*",onChange:s=>{let a=s.currentTarget.files?.[0];
a&&Ct(a)}})]}),e.picture&&r("p",{children:[r("img",{src:e.picture.data,alt:e.picture.name,width:64}),r("button",{type:"b\
utton",class:"small",onClick:()=>g.change({picture:null}),children:["Without ",e.picture.name]})]})]}),r("label",{class:"\
check",children:[r("input",{type:"checkbox",checked:e.trace,onChange:s=>g.change({trace:s.currentTarget.checked})}),r("s\
pan",{children:"Record what guidance does"})]}),r("p",{class:"hint",children:"Measures every attention layer in every st\
ep; the picture stays the same. Takes some time with large models."}),r("label",{children:[r("span",{class:"name",children:"\
Scheduler"}),r("input",{type:"text",class:"mono",value:e.scheduler,placeholder:t?.attune.scheduler,spellcheck:!1,onChange:s=>g.
change({scheduler:s.currentTarget.value.trim()})}),r("span",{class:"hint",children:"euler, heun, lcm, dpmpp_2m karras, …"})]}),
et(t).map(s=>r("label",{class:s.kind==="flag"?"check":"",children:[s.kind==="flag"?r("input",{type:"checkbox",checked:e.
more[s.key]==="true",onChange:a=>g.change({more:{...e.more,[s.key]:a.currentTarget.checked?"true":""}})}):r("span",{class:"\
name",children:s.key.replaceAll("_"," ")}),s.kind==="flag"?r("span",{children:s.key.replaceAll("_"," ")}):r("input",{type:"\
text",value:e.more[s.key]??"",placeholder:s.range??"",onChange:a=>g.change({more:{...e.more,[s.key]:a.currentTarget.value.
trim()}})}),r("span",{class:"hint",children:s.description})]},s.key))]})}function Sn({without:e,with:t,labels:n,ratio:o,most:s}){let[a,i]=P(K("beside")??!1),[l,c]=P(50),m=u=>{i(u),se("beside",u)};
return r("div",{class:`comparison ${a?"two":"one"}`,style:{"--most":s,"--ratio":o},children:[a?r("div",{class:"beside",children:[
r("figure",{children:[r("div",{style:{aspectRatio:String(o)},children:e}),r("figcaption",{children:n[0]})]}),r("figure",
{children:[r("div",{style:{aspectRatio:String(o)},children:t}),r("figcaption",{children:n[1]})]})]}):r("div",{class:"ove\
r",style:{"--at":`${l}%`,aspectRatio:String(o)},children:[r("div",{class:"layer",children:t}),r("div",{class:"layer firs\
t",children:e}),r("span",{class:"tag left","aria-hidden":"true",children:n[0]}),r("span",{class:"tag right","aria-hidden":"\
true",children:n[1]}),r("input",{type:"range",min:0,max:100,step:1,value:l,"aria-label":`Divider. Left: ${n[0]}. Right: ${n[1]}\
.`,"aria-valuetext":`${l} % ${n[0]}`,onInput:u=>c(u.currentTarget.valueAsNumber)}),r("span",{class:"divider","aria-hidde\
n":"true",children:r("span",{class:"knob"})})]}),r("div",{class:"segments two",role:"group","aria-label":"How to compare",
children:[r("label",{children:[r("input",{type:"radio",name:"beside",checked:!a,onChange:()=>m(!1)}),r("span",{children:"\
Divider"})]}),r("label",{children:[r("input",{type:"radio",name:"beside",checked:a,onChange:()=>m(!0)}),r("span",{children:"\
Side by side"})]})]})]})}var Tr=[{title:"Attention",test:/^attention\./,open:!0},{title:"Predictions",test:/^prediction\./,open:!0},{title:"Retri\
eval: attention as a Hopfield network",test:/^(hopfield|entmax|anderson)\./,open:!1}];function Tn({url:e,picture:t}){let[
n,o]=P(null),[s,a]=P("");if(B(()=>{oe(e).then(o,l=>a(X(l)))},[e]),s)return r("p",{class:"error",role:"alert",children:s});
if(!n)return r("p",{class:"hint",children:"Reading the trace…"});let i=n.series.filter(l=>l.rule!==null);return r("sec\
tion",{class:"trace","aria-label":"Trace",children:[n.places.slice(0,1).map(l=>r(Or,{places:l,picture:t},"places")),i.map(
(l,c)=>r(Mn,{trace:n,series:l},c)),Tr.map(({title:l,test:c,open:m})=>{let u=n.series.filter(f=>f.rule===null&&c.test(f.quantity));
return u.length>0&&r("details",{open:m,children:[r("summary",{children:l}),r("div",{children:u.map(f=>r(Mn,{trace:n,series:f},
f.quantity))})]},l)})]})}function ue(e,t){let n=t.unit==="share"?e*100:e,o=Math.abs(n)>=1e3||n!==0&&Math.abs(n)<.001?n.toExponential(
1):String(Number(n.toPrecision(3)));return t.unit==="share"?`${o} %`:o}var Cr=[[43,30,102],[47,92,148],[31,142,140],[93,
187,99],[242,227,76]],Pr=[[29,78,158],[111,163,216],[213,216,220],[231,154,85],[176,74,18]];function Cn(e,t,n){let o=t<0&&
n>0,s=Math.max(-t,n),[a,i]=o?[-s,s]:[t,n],l=i>a?Math.min(Math.max((e-a)/(i-a),0),1):.5,c=o?Pr:Cr,m=l*(c.length-1),u=Math.
min(Math.floor(m),c.length-2),f=c[u].map((d,h)=>Math.round(d+(c[u+1][h]-d)*(m-u))),p=(.2126*f[0]+.7152*f[1]+.0722*f[2])/
255;return{color:`rgb(${f.join(" ")})`,isLight:p>.45}}function Pn(e){let t=e.some(o=>o.startsWith("single_transformer_bl\
ocks.")),n=e.map(o=>o.replace(/\.attn[12]?$/,"").replace(/^single_transformer_blocks\./,"single.").replace(/^transformer_blocks\./,
t?"double.":"block.").replace(/^(down|up)_blocks\./,"$1.").replace(/^mid_block\./,"mid.").replaceAll("attentions.","").replaceAll(
"transformer_blocks.",""));return new Set(n).size===n.length?n:e}var $r=500;function Mn({trace:e,series:t}){let n=e.quantities.
find(s=>s.name===t.quantity),o=[...new Set(t.values.map(s=>s.layer))].filter(s=>s!==null).sort((s,a)=>s-a);return r("art\
icle",{class:"panel",children:[r("h4",{children:[n.title,t.rule!==null&&r("code",{children:e.rules[t.rule]?.name})]}),r(
"p",{children:t.says}),o.length===0?r(Jr,{trace:e,series:t,quantity:n}):o.length*e.steps.length<=$r?r(Er,{trace:e,series:t,
quantity:n,layers:o}):r(Rr,{trace:e,series:t,quantity:n,layers:o}),r("p",{class:"hint",children:n.definition})]})}function Er({
trace:e,series:t,quantity:n,layers:o}){let s=Pn(o.map(c=>e.layers[c].path)),a=t.values.map(c=>c.mean),[i,l]=[Math.min(...a),
Math.max(...a)];return r("div",{class:"scroll",tabIndex:0,role:"region","aria-label":`${n.title}, by layer and step`,children:r(
"table",{class:"map",children:[r("thead",{children:r("tr",{children:[r("th",{scope:"col",children:"layer"}),e.steps.map(
c=>r("th",{scope:"col",children:["step ",c.index+1]},c.index))]})}),r("tbody",{children:o.map((c,m)=>r("tr",{children:[r(
"th",{scope:"row",title:e.layers[c].path,children:s[m]}),e.steps.map(u=>{let f=t.values.find(h=>h.layer===c&&h.step===u.
index);if(!f)return r("td",{class:"none",children:"–"},u.index);let{color:p,isLight:d}=Cn(f.mean,i,l);return r("td",{class:d?
"light":"dark",style:{background:p},title:`middle 80 %: ${ue(f.p10,n)} to ${ue(f.p90,n)}`,children:ue(f.mean,n)},u.index)})]},
c))})]})})}function Rr({trace:e,series:t,quantity:n,layers:o}){let s=de(null),[a,i]=P(""),l=Pn(o.map(h=>e.layers[h].path)),
c=t.values.map(h=>h.mean),[m,u]=[Math.min(...c),Math.max(...c)],[f,p]=[e.steps.length,o.length];B(()=>{let h=s.current?.
getContext("2d");if(h)for(let w of t.values)h.fillStyle=Cn(w.mean,m,u).color,h.fillRect(w.step,o.indexOf(w.layer),1,1)},
[t]);let d=h=>{let w=s.current.getBoundingClientRect(),b=Math.min(Math.floor((h.clientX-w.left)/w.width*f),f-1),x=Math.min(
Math.floor((h.clientY-w.top)/w.height*p),p-1),v=t.values.find(M=>M.step===b&&M.layer===o[x]);i(v?`${l[x]}, step ${b+1}: ${ue(
v.mean,n)}`:"")};return r("figure",{class:"large",children:[r("canvas",{ref:s,width:f,height:p,role:"img","aria-label":`${n.
title}, by layer and step. ${t.says}`,onMouseMove:d,onMouseLeave:()=>i("")}),r("figcaption",{class:"hint",children:["Lay\
ers down, steps to the right; dark is ",ue(m,n),", light ",ue(u,n),". ",a]})]})}function Jr({trace:e,series:t,quantity:n}){
let o=Math.max(...t.values.map(s=>Math.abs(s.mean)),1e-12);return r("table",{class:"bars",children:r("tbody",{children:t.
values.map(s=>r("tr",{children:[r("th",{scope:"row",children:["step ",(e.steps[s.step]?.index??0)+1]}),r("td",{children:[
r("span",{class:"bar",style:{width:`${Math.abs(s.mean)/o*100}%`}}),r("span",{children:ue(s.mean,n)})]})]},s.step))})})}function Or({
places:e,picture:t}){let n=m=>{let u=m.filter(f=>f!==null);return(u[0]??[]).map((f,p)=>u.reduce((d,h)=>d+(h[p]??0),0)/Math.
max(u.length,1))},[o,s]=[n(e.by_row),n(e.by_column)],a=Math.max(...o,...s,1e-12),i=o.indexOf(Math.max(...o)),l=(m,u,f)=>f[Math.
min(Math.floor(m/u*3),2)],c=`Guidance moves the ${l(i,o.length,["upper","middle","lower"])} part of the picture most, an\
d its ${l(s.indexOf(Math.max(...s)),s.length,["left","middle","right"])} part.`;return r("article",{class:"panel places",
children:[r("h4",{children:"Where in the picture"}),r("p",{children:c}),r("div",{class:"frame",role:"img","aria-label":c,
children:[r("img",{src:t.url,alt:""}),r("div",{class:"rows",children:o.map((m,u)=>r("span",{style:{width:`${m/a*100}%`}},
u))}),r("div",{class:"columns",children:s.map((m,u)=>r("span",{style:{height:`${m/a*100}%`}},u))})]}),r("p",{class:"hint",
children:"How far guidance moves the attention output, by row and column of the latents, over all steps and layers."})]})}function En(){let e=_(E);_(ie);let t=_(H),n=e?.kind==="set"?t.find(s=>s.id===e.id):void 0,o=e?.kind==="picture"?Y(e.id):
void 0;return r("section",{id:"stage",class:"stage","aria-label":"Result",tabIndex:-1,children:n?r(Ar,{set:n},n.id):o?r(
jr,{picture:o},o.id):r(Fr,{})})}function Fr(){return r("div",{class:"empty",children:[r("svg",{viewBox:"0 0 220 110",width:"\
220",height:"110","aria-hidden":"true",focusable:"false",children:[r("rect",{x:"6",y:"8",width:"94",height:"94",rx:"16",
class:"ghost"}),r("rect",{x:"120",y:"8",width:"94",height:"94",rx:"16",class:"ghost lit"}),r("path",{d:"M110 0v110",class:"\
divider"}),r("circle",{cx:"110",cy:"55",r:"11",class:"knob"})]}),r("h2",{children:"One seed, without and with guidance"}),
r("p",{children:"The prompt is filled in. Make both pictures, and move the divider between them to see what the negative\
 prompt took away."}),r("button",{type:"button",class:"primary",onClick:()=>{ce()},children:"Make the first pictures"})]})}
function Rt(e,t){let n=t.get(e.job);return{job:n,picture:n?.images.find(o=>o.index===e.index)}}function Ar({set:e}){let t=_(
O),n=[...new Set(e.cells.map(c=>c.job))];B(()=>{for(let c of n)t.has(c)||fe(c)},[e.id]);let o=n.map(c=>t.get(c)).filter(
c=>c!==void 0&&ae(c)),[s,a]=P(e.kind==="compare"?1:0),i=e.cells[Math.min(s,e.cells.length-1)],{picture:l}=i?Rt(i,t):{picture:void 0};
return r(R,{children:[r("header",{class:"bar",children:[r("h2",{children:e.prompt}),o.length>0&&r("button",{type:"button",
class:"small",onClick:()=>{for(let c of o)be(c.id)},children:["Cancel",o.length>1?` all ${o.length}`:""]})]}),r(Nr,{ids:n,
looked:i?.job}),r("div",{class:e.cells.length<=2?"body":"body wide",children:[e.kind==="compare"&&e.cells.length===2?r(Sn,
{without:r(st,{cell:e.cells[0]}),with:r(st,{cell:e.cells[1]}),labels:[e.cells[0].label,e.cells[1].label],ratio:$n(e,t),most:Et(
l)}):e.cells.length===1?r("div",{class:"single",style:{"--most":Et(l),"--ratio":$n(e,t)},children:r(st,{cell:e.cells[0]})}):
r(Dr,{set:e,focus:s,choose:a}),l&&r(Rn,{picture:l,compared:e.kind==="compare"})]})]})}function Et(e){return`${e?Math.min(
Math.max(e.width*3.5,320),1024):448}px`}function $n(e,t){for(let n of e.cells){let{picture:o,job:s}=Rt(n,t);if(o)return o.
width/o.height;let[a,i]=[Number(s?.request.width),Number(s?.request.height)];if(a>0&&i>0)return a/i}return 1}function Nr({
ids:e,looked:t}){let n=_(O),o=e.map(a=>n.get(a)).filter(a=>a!==void 0),s=o.find(a=>a.id===t)?.warnings??[];return r(R,{children:[
o.filter(a=>a.status==="failed").map(a=>r("p",{class:"error",role:"alert",children:a.error?.message},a.id)),s.map(a=>r("\
p",{class:"warning",children:a},a))]})}function st({cell:e,small:t=!1}){let{job:n,picture:o}=Rt(e,_(O)),s=_(W).get(e.job);
if(o)return r("img",{class:"made",src:t?o.thumbnail_url:o.url,width:o.width,height:o.height,alt:Oe(o)});let a=s?.image===
e.index&&n!==void 0&&ae(n),i=n?n.status==="failed"?"Failed":n.status==="cancelled"?"Cancelled":a&&s.count>0?`Step ${s.index}\
 of ${s.count}`:n.status==="running"?a?"Reading the prompt":"Next":Jt(n):"No longer kept";return r("div",{class:`making ${n&&
ae(n)?"live":"over"}`,children:[a&&s.preview&&r("img",{src:s.preview,alt:""}),r("span",{class:"state",children:[!t&&a&&s.
count>0&&r("progress",{max:s.count,value:s.index,"aria-label":e.label}),i]})]})}function Jt(e){let t=e.seconds??0,n=e.position?
`${e.position} before it`:"Next";return t>=2?`${n}, ${Math.round(t)} s`:n}function Oe(e){let t=e.parameters.negative_prompt;
return`${String(e.parameters.prompt??"A picture")}${t?`, not ${String(t)}`:""}, seed ${e.seed}`}var $t=e=>e.axis.replace(
"."," ").replaceAll("_"," ");function Dr({set:e,focus:t,choose:n}){let o=Math.max(e.columns.length,1),s=l=>{let c=e.cells[l];
return r("button",{type:"button",class:"cell","aria-pressed":l===t,onClick:()=>n(l),title:c.label,children:[r(st,{cell:c,
small:!0}),r("span",{class:e.columns.length>0?"sr":"label",children:c.label})]})},[,a]=P(0),i=l=>{let c=e.columns.length>
0?o:1,m={ArrowLeft:-1,ArrowRight:1,ArrowUp:-c,ArrowDown:c}[l.key],u=t+(m??0);m===void 0||u<0||u>=e.cells.length||(l.preventDefault(),
n(u),a(u),l.currentTarget.querySelectorAll(".cell")[u]?.focus())};return e.columns.length===0?r("div",{class:"seeds",onKeyDown:i,
children:e.cells.map((l,c)=>r("div",{children:s(c)},l.label))}):r("div",{class:"scroll",tabIndex:0,role:"region","aria-l\
abel":`Grid over ${$t(e)}`,children:r("table",{class:"grid",onKeyDown:i,children:[r("caption",{class:"sr",children:["Pic\
tures by ",$t(e)," and seed"]}),r("thead",{children:r("tr",{children:[r("th",{scope:"col",children:$t(e)}),e.columns.map(
l=>r("th",{scope:"col",children:l},l))]})}),r("tbody",{children:e.rows.map((l,c)=>r("tr",{children:[r("th",{scope:"row",
children:l}),e.columns.map((m,u)=>r("td",{children:s(c*o+u)},m))]},l))})]})})}function jr({picture:e}){let{ids:t}=_(N),n=t.
indexOf(e.id),o=s=>{let a=t[n+s];a&&le(a)};return r(R,{children:[r("header",{class:"bar",children:[r("h2",{children:String(
e.parameters.prompt??"")}),r("span",{class:"pair",children:[r("button",{type:"button",class:"plain","aria-label":"Newer \
picture",title:"Newer (←)",disabled:n<=0,onClick:()=>o(-1),children:r($,{name:"back"})}),r("button",{type:"button",class:"\
plain","aria-label":"Older picture",title:"Older (→)",disabled:n<0||n>=t.length-1,onClick:()=>o(1),children:r($,{name:"\
next"})})]})]}),r("div",{class:"body",children:[r("div",{class:"single",style:{"--most":Et(e),"--ratio":e.width/e.height},
children:r("img",{class:"made",src:e.url,width:e.width,height:e.height,alt:Oe(e)})}),r(Rn,{picture:e})]})]})}var Lr=/^(hopfield|entmax|anderson)\./;
function Rn({picture:e,compared:t=!1}){let n=Y(e.id)??e,{parameters:o}=n,[s,a]=P(!1),i=(n.findings??[]).filter(f=>!Lr.test(
f.quantity)).sort((f,p)=>+(f.rule===void 0)-+(p.rule===void 0)),l=F(String(o.guidance??"none")),c=f=>String(o[f]??""),m=f=>{
navigator.clipboard?.writeText(f).then(()=>A("Copied."))},u=f=>{ye(o),g.change(f),ce(g.value)};return r(R,{children:[r("\
div",{class:"details",children:[r("div",{class:"actions",children:[r("button",{type:"button",onClick:()=>{ye(o),A("The s\
ettings are in the form.")},children:"Use these settings"}),!t&&l.length>0&&c("guidance")!==Re(g.value)&&r("button",{type:"\
button",onClick:()=>u({mode:"compare"}),children:"Compare with plain"}),r("button",{type:"button",onClick:()=>u({mode:"s\
eeds",count:4,seed:c("seed")}),children:"Vary the seed"}),r("span",{class:"tools",children:[r("button",{type:"button",class:"\
plain star","aria-pressed":n.starred,"aria-label":"Star: keep this picture",title:"Star (.)",onClick:()=>{ot(n)},children:r(
$,{name:"star",filled:n.starred})}),r("a",{class:"button plain",href:n.url,download:`attune-${n.seed}.${n.format}`,"aria\
-label":"Download",title:"Download",children:r($,{name:"download"})}),r("button",{type:"button",class:"plain","aria-labe\
l":"Delete",title:"Delete",onClick:()=>vn(n),children:r($,{name:"trash"})})]})]}),i.length>0&&r("section",{class:"did","\
aria-label":"What guidance did",children:[r("h3",{children:"What guidance did"}),r("ul",{children:i.map(f=>r("li",{title:f.
title,class:f.rule?"own":"",children:[f.rule&&r("code",{children:F(f.rule)[0]?.name})," ",f.text]},`${f.rule} ${f.quantity}`))}),
n.trace_url&&r("button",{type:"button",class:"small","aria-expanded":s,onClick:()=>a(!s),children:s?"Hide the trace":"Wh\
ere and when: the trace"})]}),r("dl",{class:"facts",children:[c("negative_prompt")!==""&&r(R,{children:[r("dt",{children:"\
Not"}),r("dd",{children:c("negative_prompt")})]}),r("dt",{children:"Seed"}),r("dd",{children:[String(n.seed)," ",r("butt\
on",{type:"button",class:"plain tiny","aria-label":"Copy the seed",title:"Copy",onClick:()=>m(String(n.seed)),children:r(
$,{name:"copy"})})]}),r("dt",{children:"Size"}),r("dd",{children:[n.width," × ",n.height]}),r("dt",{children:"Steps"}),
r("dd",{children:c("steps")}),r("dt",{children:"Guidance"}),r("dd",{class:"mono",children:l.length===0?"none":Xr(c("guid\
ance"))}),r("dt",{children:"Model"}),r("dd",{children:c("model")})]})]}),s&&n.trace_url&&r(Tn,{url:n.trace_url,picture:n})]})}
function Xr(e){return F(e).map(t=>{let n=S.value?.rules.find(s=>s.name===t.name),o=Object.entries(t.values).filter(([s,a])=>{
let i=n?.parameters.find(l=>l.name===s);return i?.kind==="number"||i?.default!==a&&a!=="all"});return o.length===0?t.name:
`${t.name}: ${o.map(([s,a])=>`${s} ${a}`).join(", ")}`}).join(" + ")}function Jn(){let e=ge(_(O)),t=_(W);if(e.length===0)return null;let n=o=>{let s=H.value.find(a=>a.cells.some(i=>i.job===
o));s?E.set({kind:"set",id:s.id}):A("This was asked for in another window.")};return r("section",{class:"queue card","ar\
ia-label":"Queue",children:[r("header",{class:"bar",children:[r("h2",{children:"Being made"}),e.length>1&&r("button",{type:"\
button",class:"small",onClick:()=>{if(confirm(`Cancel all ${e.length}?`))for(let o of e)be(o.id)},children:"Cancel all"})]}),
r("ul",{children:e.map(o=>{let s=t.get(o.id),a=o.count*Math.max(s?.count??1,1),i=s?s.image*s.count+s.index:o.images.length,
l=String(o.request.prompt);return r("li",{children:[r("button",{type:"button",class:"plain what",onClick:()=>n(o.id),children:l}),
r("span",{class:"hint",children:[o.status==="running"&&o.count>1&&`${o.images.length} of ${o.count}, `,o.status!=="runni\
ng"?Jt(o):s?`step ${s.index} of ${s.count}`:"begins"]}),r("progress",{max:a,value:o.status==="running"?i:0,"aria-label":`\
Progress of ${l}`}),r("button",{type:"button",class:"plain","aria-label":`Cancel ${l}`,title:"Cancel",onClick:()=>{be(o.
id)},children:r($,{name:"close"})})]},o.id)})})]})}function On(){let{ids:e,more:t,starred:n}=_(N);_(ie);let o=_(E),s=de(
null);return r("section",{class:"gallery","aria-label":"Gallery",children:[r("header",{class:"bar",children:[r("h2",{children:"\
Pictures"}),r("span",{class:"pair",children:[r("button",{type:"button",class:"small","aria-pressed":n,onClick:()=>{N.change(
{starred:!n,ids:[]}),Q()},children:[r($,{name:"star",filled:n})," Starred"]}),r("button",{type:"button",class:"small",onClick:()=>s.
current?.click(),children:[r($,{name:"open"})," Recall from a file"]}),r("input",{ref:s,type:"file",accept:"image/*",class:"\
sr",tabIndex:-1,"aria-label":"A picture whose settings are recalled",onChange:a=>{let i=a.currentTarget.files?.[0];i&&Je(
i),a.currentTarget.value=""}})]})]}),e.length===0?r("p",{class:"hint",children:n?"No picture has a star.":"Pictures that\
 are made appear here, and stay. Drop one anywhere on the page to recall its settings."}):r("ul",{class:"thumbs",children:e.
map(a=>{let i=Y(a);return i&&r("li",{children:r("button",{type:"button","aria-current":o?.kind==="picture"&&o.id===a?"tr\
ue":void 0,title:Oe(i),onClick:()=>{le(a),document.querySelector("#stage")?.scrollIntoView({block:"nearest"})},children:[
r("img",{src:i.thumbnail_url,loading:"lazy",width:i.width,height:i.height,alt:Oe(i)}),i.starred&&r("span",{class:"mark",
children:[r($,{name:"star",filled:!0}),r("span",{class:"sr",children:"starred"})]})]})},a)})}),t&&r("button",{type:"butt\
on",class:"small",onClick:()=>{_n()},children:"Older pictures"})]})}var Fe=new T(K("theme")??"auto"),at=new T(!1),it=new T(!1),Fn=()=>{document.documentElement.dataset.theme=Fe.value,se("t\
heme",Fe.value)};Fe.watch(Fn);Fn();function Br(){let e=_(S),t=_(Ge);return r(R,{children:[r("a",{class:"skip",href:"#sta\
ge",children:"To the result"}),r(zr,{}),e?r("main",{children:[r(wn,{}),r("div",{class:"right",children:[r(En,{}),r(Jn,{}),
r(On,{})]})]}):r("main",{class:"loading",children:t?r("p",{class:"error",role:"alert",children:[t," ",r("button",{type:"\
button",onClick:()=>{Ye()},children:"Try again"})]}):r("p",{class:"hint",children:"Asking the server…"})}),r(Hr,{}),r(
Ir,{}),r(qr,{}),r(Ur,{})]})}function zr(){let e=_(S),t=_(Fe),n={auto:"light",light:"dark",dark:"auto"},o={auto:"auto",light:"\
sun",dark:"moon"};return r("header",{class:"top",children:[r("h1",{children:[r("img",{src:"/page/icon.svg",alt:"",width:28,
height:28})," Attune"]}),r("p",{class:"model",children:e?.status.default_model}),r("nav",{"aria-label":"Page",children:[
r("a",{class:"button plain",href:"/docs/api","aria-label":"The API",title:"The API",children:r($,{name:"code"})}),r("but\
ton",{type:"button",class:"plain","aria-label":`Colours: ${t}`,title:`Colours: ${t}`,onClick:()=>Fe.set(n[t]),children:r(
$,{name:o[t]})}),r("button",{type:"button",class:"plain","aria-label":"Keys",title:"Keys (?)",onClick:()=>it.set(!0),children:r(
$,{name:"help"})})]})]})}function Hr(){let e=_($e);return r(R,{children:[r("div",{class:"toasts",role:"status",children:e&&
r("p",{class:"toast",children:[e.text,e.label&&r("button",{type:"button",onClick:()=>Ee(!0),children:e.label})]})}),r("d\
iv",{class:"sr","aria-live":"polite",children:_(nt)})]})}function Ir(){let[e,t]=P(!1);return B(()=>{let n=0,o=i=>i.dataTransfer?.
types.includes("Files")??!1,s=[["dragenter",i=>{o(i)&&(n++,t(!0))}],["dragleave",()=>{n=Math.max(n-1,0),t(n>0)}],["drago\
ver",i=>{o(i)&&i.preventDefault()}],["drop",i=>{n=0,t(!1);let l=i.dataTransfer?.files[0];l&&(i.preventDefault(),Je(l))}]];
for(let[i,l]of s)addEventListener(i,l);let a=i=>{let l=[...i.clipboardData?.files??[]].find(c=>c.type.startsWith("image/"));
l&&Je(l)};return addEventListener("paste",a),()=>{for(let[i,l]of s)removeEventListener(i,l);removeEventListener("paste",
a)}},[]),e?r("div",{class:"drop","aria-hidden":"true",children:r("p",{children:"Drop the picture to recall its settings"})}):
null}function An(e){let t=de(null);return B(()=>{e&&!t.current?.open&&t.current?.showModal(),!e&&t.current?.open&&t.current.
close()},[e]),t}var Wr=[["Ctrl or ⌘ + Enter","make what the form says"],["p","write the prompt"],["n","write the negat\
ive prompt"],["← →","the newer or older picture; the divider of a comparison"],["u","use the settings of the picture"],
[".","give the picture a star"],["?","these keys"],["Esc","close"]];function qr(){let e=_(it),t=An(e);return r("dialog",
{ref:t,"aria-labelledby":"keys-title",onClose:()=>it.set(!1),children:[r("h2",{id:"keys-title",children:"Keys"}),r("dl",
{class:"keys",children:Wr.map(([n,o])=>r("div",{children:[r("dt",{children:r("kbd",{children:n})}),r("dd",{children:o})]},
n))}),r("form",{method:"dialog",children:r("button",{children:"Close"})})]})}function Ur(){let e=_(at),t=An(e),[n,o]=P(""),
[s,a]=P(""),i=async()=>{try{await Me("/api/session",{key:n}),a(""),o(""),at.set(!1),await Ye()}catch(l){a(l instanceof z&&
l.status===401?"The server does not know this key.":X(l))}};return r("dialog",{ref:t,"aria-labelledby":"key-title",onClose:()=>at.
set(!1),children:r("form",{onSubmit:l=>{l.preventDefault(),i()},children:[r("h2",{id:"key-title",children:"This server w\
ants an API key"}),r("label",{children:[r("span",{class:"name",children:"Key"}),r("input",{type:"password",autocomplete:"\
off",value:n,onInput:l=>o(l.currentTarget.value)})]}),r("div",{role:"alert",children:s&&r("p",{class:"error",children:s})}),
r("button",{class:"primary",children:"Open"})]})})}addEventListener("keydown",e=>{if(e.key==="Enter"&&(e.ctrlKey||e.metaKey)){
e.preventDefault(),S.value&&ce();return}let t=e.target;if(e.ctrlKey||e.metaKey||e.altKey||document.querySelector("dialog\
[open]"))return;if(t.matches("textarea, select, input:not([type=checkbox]):not([type=radio])")){e.key==="Escape"&&t.blur();
return}let n=E.value?.kind==="picture"?Y(E.value.id):void 0,o=i=>{if(!n||t.matches("input, .scroll, .cell"))return;let{ids:l}=N.
value,c=l[l.indexOf(n.id)+i];c&&le(c)},a={"?":()=>it.set(!0),p:()=>document.querySelector("#prompt")?.focus(),n:()=>document.
querySelector("#negative")?.focus(),u:()=>{n&&(ye(n.parameters),A("The settings are in the form."))},".":()=>{n&&ot(n)},
ArrowLeft:()=>o(-1),ArrowRight:()=>o(1)}[e.key];a&&(e.key.startsWith("Arrow")||e.preventDefault(),a())});ln(()=>at.set(!0));
Ut(r(Br,{}),document.querySelector("#app"));Ye();
