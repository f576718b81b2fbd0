/* Attune (MIT), with Preact (MIT, copyright (c) 2015-present Jason Miller). Made by npm run build of a6c7d2228b5efe325a838453631073ee45b2e109b8e9115b307ad7ab7a5e4a3e */
var y,Nt,An,U,ct,Be,Dt,De,jt,dt,ut,Nn,we=Symbol.for("pv"),ze={},He=[],Dn=/^m(i|n|o|s|text|space)$/,pt=Array.isArray,Lt=He.
slice,re=Object.assign;function ne(e){e&&e.parentNode&&e.remove()}function je(e,t,n,s,o){var a={type:e,props:t,key:n,ref:s,__k:null,__:null,__b:0,__e:null,__c:null,constructor:we,__v:o||
++Nt,__i:-1,__u:0};return!o&&y.vnode&&y.vnode(a),a}function R(e){return e.children}function Le(e,t){this.props=e,this.context=t,this.__g=0}function V(e,t){if(t==null)return e.
__&&V(e.__,e.__i+1);for(var n;t<e.__k.length;t++)if((n=e.__k[t])&&n.__e)return n.__e;return typeof e.type!="function"||e.
props.__P?null:V(e)}function jn(e){var t,n=e.__v,s=n.__e,o=[],a=[],i=e.__P;i&&((t=re({constructor:we},n)).__v=n.__v+1,y.
vnode&&y.vnode(t),mt(i,t,n,e.__n,i.namespaceURI,32&n.__u?[s]:null,o,s||V(n),32&n.__u,a),t.__v=n.__v,t.__.__k[t.__i]=t,Wt(
o,t,a),n.__=n.__e=null,t.__e!=s&&Xt(t))}function Xt(e){if((e=e.__)&&e.__c&&!e.props.__P)return e.__e=null,e.__k.some(function(t){
return t&&(e.__e=t.__e)}),Xt(e)}function Ft(e){(8&e.__g||(e.__g|=8,U.push(e),Be++))&&ct==y.debounceRendering||((ct=y.debounceRendering)||
queueMicrotask)(Bt)}function Bt(){try{for(var e,t=1;U.length;)U.length>t&&U.sort(Dt),e=U.shift(),t=U.length,8&e.__g&&jn(
e)}finally{(Be=U.length)&&(ct||queueMicrotask)(Bt)}}function zt(e,t,n,s,o,a,i,l,c,p,u){var m,f,d,h,w,b,x=s.__k||He,v=t.length;
for(c=Ln(n,t,x,c,v),m=0;m<v;m++)(d=n.__k[m])!=null&&(f=~d.__i&&x[d.__i]||ze,d.__i=m,b=mt(e,d,f,o,a,i,l,c,p,u),h=d.__e,(f.
ref!=d.ref||8&f.__u)&&(f.ref&&ft(f.ref,null,d,f),d.ref&&u.push(d.ref,d.__c||h,d)),w=w||h,4&d.__u?(c=Ht(d,c,e,!f.__v),f.__e&&
(f.__e=null)):typeof d.type=="function"&&b!==void 0?c=b:h&&(c=h.nextSibling),d.__u&=-21);return n.__e=w,c}function Ln(e,t,n,s,o){
var a,i,l,c,p,u,m,f,d,h=n.length,w=h,b=0,x=0,v=e.__k=Array(o);for(a=0;a<o;a++)(i=t[a])!=null&&typeof i!="boolean"&&typeof i!=
"function"?(typeof i!="object"||i.constructor===String?i=v[a]=je(null,i):pt(i)?i=v[a]=je(R,{children:i}):i.constructor===
we&&i.__b?i=v[a]=je(i.type,i.props,i.key,i.ref,i.__v):v[a]=i,c=a+b,i.__=e,i.__b=e.__b+1,l=null,~(p=i.__i=Xn(i,n,c,w))&&(w--,
(l=n[p])&&(l.__u|=2)),l&&l.__v?(i.__u|=16,p==c-1?b--:p==c+1?b++:p!=c&&(p>c?b--:b++,x=1)):(~p||(o>h?b--:o<h&&b++),typeof i.
type!="function"&&(i.__u|=4))):v[a]=null;if(x){for(u=[],m=[],a=0;a<o;a++)if((i=v[a])&&16&i.__u){for(b=0,f=u.length;b<f;)
u[d=b+f>>1]<i.__i?b=d+1:f=d;u[b]=i.__i,m[a]=b+1}for(b=u.length;a--;)m[a]&&(m[a]==b?b--:v[a].__u|=4)}if(w)for(a=0;a<h;a++)
!(l=n[a])||2&l.__u||(l.__e==s&&(s=V(l)),ht(l,l));return s}function Ht(e,t,n,s){var o,a,i,l;if(typeof e.type=="function"){
if(e.props.__P)return t;if(o=e.__k)for(a=0;a<o.length;a++)o[a]&&(o[a].__=e,t=Ht(o[a],t,n,!1));return t}for(t&&!t.parentNode&&
(t=V(e))&&!t.parentNode&&(t=null),i=e.__e,l=t;l&&l.nodeType==8;)l=l.nextSibling;for(i!=l&&(!s&&n.moveBefore&&i.parentNode?
n.moveBefore(i,t):n.insertBefore(i,t||null)),t=i;(t=t&&t.nextSibling)&&t.nodeType==8&&!t.data.startsWith("$s"););return t}function Xn(e,t,n,s){var o,a=e.key,i=e.type,l=t[n],c=l&&!(2&l.__u);if(l===null&&a==null||c&&a==l.key&&i==l.type)return n;
if(s>(c?1:0)){for(o=n-1;o>=0;o--)if((l=t[o])&&!(2&l.__u)&&a==l.key&&i==l.type)return o;for(o=n+1;o<t.length;o++)if((l=t[o])&&
!(2&l.__u)&&a==l.key&&i==l.type)return o}return-1}function At(e,t,n){n==null&&(n=""),t[0]=="-"?e.setProperty(t,n):e[t]=n}
function Ne(e,t,n,s,o){var a,i;if(t=="style")if(typeof n=="string")e.style.cssText=n;else{if(typeof s=="string"&&(e.style.
cssText=s=""),s)for(t in s)n&&t in n||At(e.style,t);if(n)for(t in n)s&&n[t]==s[t]||At(e.style,t,n[t])}else if(t[0]=="o"&&
t[1]=="n")typeof n!="function"&&(n=null),typeof s!="function"&&(s=null),(e.__e||(e.__e={}))[t]=n,n&&s||(i=ut[t]||(ut[t]=
Bn(t)),(e.__a||(e.__a={}))[t]=dt,a=t!=(t=t.replace(jt,"$1")),(t=t.slice(2))[0]<"a"&&(t=t.toLowerCase()),n?e.addEventListener(
t,i,a):e.removeEventListener(t,i,a));else{if(o=="http://www.w3.org/2000/svg")t=t.replace(/xlink(H|:h)/,"h").replace(/sName$/,
"s");else if(t!="width"&&t!="height"&&t!="href"&&t!="list"&&t!="form"&&t!="tabIndex"&&t!="download"&&t!="rowSpan"&&t!="c\
olSpan"&&t!="role"&&t!="popover"&&t in e)try{return void(e[t]=n??"")}catch{}if(typeof n=="function")return;n==null||n===
!1&&t[4]!="-"?e.removeAttribute(t):e.setAttribute(t,t=="popover"&&n==1?"":n)}}function Bn(e){return function(t){var n=this.
__e;if(n){if(n=n[e],t[De]==null)t[De]=dt++;else if(t[De]<this.__a[e])return;return n(y.event?y.event(t):t)}}}function mt(e,t,n,s,o,a,i,l,c,p){
var u,m,f,d,h,w,b,x,v,M,k,lt,Jt,Ae,ee,Ot,q,te,I=t.type;if(t.constructor!==we)return null;128&n.__u&&(c=32&n.__u,u=n.__c.
__z)&&(t.__u|=c,m=a=[],u.nodeType==8?l=Xe(u,a):a.push(u),l=a[0]||l),(u=y.__b)&&u(t);e:if(typeof I=="function"){f=i.length;
try{if(x=t.props,v=(u=I.prototype)&&u.render,M=(u=I.contextType)&&s[u.__c],k=u?M?M.props.value:u.__:s,(d=n.__c)?(t.__c=d,
2&d.__g&&(d.__g|=1)):(v?t.__c=d=new I(x,k):(t.__c=d=new Le(x,k),d.constructor=I,d.render=Hn),M&&M.sub(d),d.state||(d.state=
{}),d.__n=s,d.__g|=8,d.__h=[],d.__k=[]),v&&(d.__s||(d.__s=d.state),I.getDerivedStateFromProps&&(d.__s==d.state&&(d.__s=re(
{},d.__s)),re(d.__s,I.getDerivedStateFromProps(x,d.__s)))),h=d.props,w=d.state,d.__v=t,n.__c){if(x!==h&&v&&!I.getDerivedStateFromProps&&
d.componentWillReceiveProps&&d.componentWillReceiveProps(x,k),t.__v==n.__v&&!(8&d.__g)||!(4&d.__g)&&d.shouldComponentUpdate&&
d.shouldComponentUpdate(x,d.__s,k)===!1){t.__v!=n.__v&&(d.props=x,d.state=d.__s,d.__g&=-9),t.__e=n.__e,t.__k=n.__k,t.__k.
some(function(j){j&&(j.__=t)}),He.push.apply(d.__h,d.__k),d.__k=[],d.__h.length&&i.push(d),l=V(n);break e}d.componentWillUpdate&&
d.componentWillUpdate(x,d.__s,k),v&&d.componentDidUpdate&&d.__h.push(function(){d.componentDidUpdate(h,w,b)})}else v&&!I.
getDerivedStateFromProps&&d.componentWillMount&&d.componentWillMount(),v&&d.componentDidMount&&d.__h.push(d.componentDidMount);
d.context=k,d.props=x,d.__P=e,d.__g&=-5,lt=y.__r,Jt=v?25:0;do d.__g&=-9,lt&&lt(t),u=d.render(d.props,d.state=d.__s,d.context);while(8&
d.__g&&++Jt<25);v&&(He.push.apply(d.__h,d.__k),d.__k=[]),d.state=d.__s,d.getChildContext&&(s=re({},s,d.getChildContext())),
v&&n.__c&&d.getSnapshotBeforeUpdate&&(b=d.getSnapshotBeforeUpdate(h,w)),Ae=u&&u.type===R&&u.key==null?u.props.children:u,
x.__P&&(u=l,o=(e=x.__P).namespaceURI,c=a=null,n.props&&n.props.__P!=e&&(n.__k.some(function(j){j&&ht(j,j)}),n.__k=null),
l=n.__k?V(n,0):null),l=zt(e,pt(Ae)?Ae:[Ae],t,n,s,o,a,i,l,c,p),x.__P&&(t.__e=null,l=u),t.__u&=-161,m&&m.some(ne),d.__h.length&&
i.push(d),1&d.__g&&(d.__g&=-4)}catch(j){if(i.length=f,t.__v=null,c||a)if(j&&j.then){if(t.__u|=128|c,a){for(~(q=a.indexOf(
l||void 0))||(q=a.length);(te=a[q-1])&&te.nodeType==8;)q--;for(;q<a.length;q++)if(te=a[q])if(a[q]=null,ee){if(te==Ot)break}else{
if(te.nodeType!=8)break;te.data.startsWith("$s")&&(Ot=Xe(ee=te))}}if(!ee){for(;l&&l.nodeType==8&&l.nextSibling;)l=l.nextSibling;
ee=l}(u=Xe(ee=t.__c.__z||(t.__c.__z=ee)))?(t.__e=ee,l=u):t.__e=l,l=l&&l.nextSibling}else a&&a.some(ne);else t.__e=n.__e;
t.__k||(t.__k=n.__k||[]),j&&j.then||It(t),y.__e(j,t,n)}}else l=t.__e=zn(n.__e,t,n,s,o,a,i,c,p,e);return(u=y.diffed)&&u(t),
l}function Xe(e,t){if(e&&e.nodeType==8&&e.data.startsWith("$s"))for(var n=1;e=e.nextSibling;){if(e.nodeType==8){if(e.data.
startsWith("$s"))n++;else if(e.data.startsWith("/$s")&&!--n)return e}t&&t.push(e)}}function It(e){e&&(e.__c&&(e.__c.__g|=
4),e.__k&&e.__k.some(It))}function Wt(e,t,n){for(var s=0;s<n.length;)ft(n[s++],n[s++],n[s++]);y.__c&&y.__c(t,e),e.some(function(o){
try{e=o.__h,o.__h=[],e.some(function(a){a.call(o)})}catch(a){y.__e(a,o.__v)}})}function zn(e,t,n,s,o,a,i,l,c,p){var u,m,
f,d,h,w,b,x,v=n.props||ze,M=t.props,k=t.type;if(k=="svg"?o="http://www.w3.org/2000/svg":k=="math"?o="http://www.w3.org/1\
998/Math/MathML":o||(o="http://www.w3.org/1999/xhtml"),a){for(u=0;u<a.length;u++)if((h=a[u])&&(k?h.localName==k:h.nodeType==
3)){e=h,a[u]=null;break}}if(!e){if(x=p.ownerDocument||document,!k)return x.createTextNode(M);e=x.createElementNS(o,k,M.is?
M:p),l&&(y.__m&&y.__m(t,a),l=!1),a=null}if(k){if(p=k=="template"&&e.content||e,a=k=="textarea"&&M.defaultValue!=null?null:
a&&Lt.call(p.childNodes),!l&&a)for(v={},u=0;u<e.attributes.length;u++)v[(h=e.attributes[u]).name]=h.value;for(u in v)h=v[u],
u=="dangerouslySetInnerHTML"?f=h:u=="children"||u in M||u=="value"&&"defaultValue"in M||u=="checked"&&"defaultChecked"in
M||Ne(e,u,null,h,o);for(u in M)h=M[u],u=="children"?d=h:u=="dangerouslySetInnerHTML"?m=h:u=="value"?w=h:u=="checked"?b=h:
l&&typeof h!="function"||v[u]===h||Ne(e,u,h,v[u],o);m?(l||f&&(m.__html==f.__html||m.__html==e.innerHTML)||(e.innerHTML=m.
__html),t.__k=[]):(f&&(e.textContent=""),(k=="foreignObject"||o=="http://www.w3.org/1998/Math/MathML"&&Dn.test(k))&&(o="\
http://www.w3.org/1999/xhtml"),zt(p,pt(d)?d:[d],t,n,s,o,a,i,a?a[0]:n.__k&&V(n,0),l,c),a&&a.some(ne)),l&&k!="textarea"||(u=
"value",k=="progress"&&w==null?e.removeAttribute(u):w==null||w===e[u]&&(k!="progress"||w)||Ne(e,u,w,v[u],o),u="checked",
b!=null&&b!=e[u]&&Ne(e,u,b,v[u],o))}else v===M||l&&e.data==M||(e.data=M);return e}function ft(e,t,n,s){try{typeof e=="fu\
nction"?t?t.__x=e(t)||1:s&&(s=s.__c||s.__e)&&(t=s.__x)&&(s.__x=null,typeof t=="function"?t():e(null)):e.current=t}catch(o){
y.__e(o,n)}}function ht(e,t,n){var s,o,a,i;if(y.unmount&&y.unmount(e),!(s=e.ref)||s.current&&s.current!=e.__e||ft(s,null,
t,e),s=e.__c){if(s.componentWillUnmount)try{s.componentWillUnmount()}catch(l){y.__e(l,t)}s.__P=s.__n=null}if(s=e.__k)for(i=
0;i<s.length;i++)s[i]&&ht(s[i],t,typeof e.type!="function"||n&&!e.props.__P);!n&&(s=e.__c)&&(s=s.__z)&&(o=Xe(s,a=[]))&&(s==
e.__e&&a.some(ne),ne(o),ne(s)),n||ne(e.__e),e.__e=e.__c=e.__=null}function Hn(e,t,n){return this.constructor(e,n)}function qt(e,t){
var n,s,o,a;y.__&&y.__(e,t),t.nodeType==9&&(t=t.documentElement),s=(n=e&&32&e.__u)?null:t.__k,t.__k=je(R,{children:[e]}),
o=[],a=[],mt(t,t.__k,s||ze,ze,t.namespaceURI,s?null:t.firstChild?Lt.call(t.childNodes):null,o,s?s.__e:t.firstChild,n,a),
Wt(o,t.__k,a),t.__k.props.children=null}y={__e:function(e,t,n,s){for(var o,a,i;t=t.__;)if((o=t.__c)&&!(1&o.__g)){o.__g|=4;try{if((i=(a=o.constructor)&&a.getDerivedStateFromError)&&
o.setState(a.getDerivedStateFromError(e)),o.componentDidCatch&&(o.componentDidCatch(e,s||{}),i=1),i&&8&o.__g)return void(o.
__g|=2)}catch(l){e=l}}throw Be=0,e}},Nt=0,An=function(e){return e!=null&&e.constructor===we},Le.prototype.setState=function(e,t){
var n=this.__s;n&&n!=this.state||(n=this.__s=re({},this.state)),typeof e=="function"&&(e=e(re({},n),this.props)),e&&(re(
n,e),this.__v&&(t&&this.__k.push(t),Ft(this)))},Le.prototype.forceUpdate=function(e){this.__v&&(this.__g|=4,e&&this.__h.
push(e),Ft(this))},Le.prototype.render=R,U=[],Be=0,Dt=function(e,t){return e.__v.__b-t.__v.__b},De=Symbol(),jt=/(PointerCapture)$|Capture$/i,
dt=0,ut={},Nn=0;var ke,J,gt,Ut,_t=Object.is,Ie=0,nn=[],vt=[],C=y,Vt=C.__b,Gt=C.__r,Kt=C.diffed,Qt=C.__c,Yt=C.unmount,Zt=C.__;function yt(e,t){
C.__h&&C.__h(J,e,Ie||t),Ie=0;var n=J.__H||(J.__H={__:[],__h:[]});return e>=n.__.length&&n.__.push({}),n.__[e]}function P(e){
return Ie=1,In(on,e)}function In(e,t,n){var s=yt(ke++,2);if(s.t=e,!s.__c&&(s.__=[n?n(t):on(void 0,t),function(a){var i=(s.
__N||s.__)[0],l=s.t(i,a);_t(i,l)||(s.__N=[l,s.__[1]],s.__c.setState({}))}],s.__c=J,!J.__f)){J.__f=!0;var o=J.shouldComponentUpdate;
J.shouldComponentUpdate=function(a,i,l){var c=this.__H;if(!c)return!0;var p=!1,u=this.props!=a;if(c.__.some(function(f){
f.__N&&(p=!0,_t(f.__[0],f.__N[0])||(u=!0))}),o){var m=o.call(this,a,i,l);return p?m||u:m}return!p||u}}return s.__}function B(e,t){
var n=yt(ke++,3);!C.__s&&rn(n.__H,t)&&(n.__P=!0,n.__=e,n.u=t,J.__H.__h.push(n))}function de(e){return Ie=5,Wn(function(){return{current:e}},[])}function Wn(e,t){var n=yt(ke++,7);return rn(n.__H,t)&&(n.__=e(),n.__H=t),n.__}function qn(){var e;do{for(;e=vt.shift();)try{xe(e)}catch(n){C.__e(n,{__:(e=e.__P)&&e.__v})}for(;e=nn.shift();){var t=e.
__H;if(e.__P&&t)try{t.__h.some(xe),t.__h.some(bt),t.__h=[]}catch(n){t.__h=[],C.__e(n,e.__v)}}}while(vt.length)}C.__b=function(e){
J=null,Vt&&Vt(e)},C.__=function(e,t){e&&t.__k&&t.__k.__m&&(e.__m=t.__k.__m),Zt&&Zt(e,t)},C.__r=function(e){Gt&&Gt(e),ke=
0;var t=(J=e.__c).__H;t&&(gt==J?J.__h=[]:(t.__h.some(xe),t.__h.some(bt),ke=0),t.__h=[],t.__.some(function(n){n.__N&&(n.__=
n.__N),n.u=n.__N=void 0})),gt=J},C.diffed=function(e){Kt&&Kt(e);var t=e.__c;t&&t.__H&&(t.__H.__h.length&&tn(nn.push(t)),
t.__H.__.some(function(n){n.u&&(n.__H=n.u)})),gt=J=null},C.__c=function(e,t){t.some(function(n){try{n.__h.some(xe),n.__h=
n.__h.filter(function(s){return!s.__||bt(s)})}catch(s){n.__h=[function(){throw s}]}}),Qt&&Qt(e,t)},C.unmount=function(e){
Yt&&Yt(e);var t,n,s=e.__c;s&&s.__H&&(s.__H.__.some(function(o){try{if(o.__P&&o.__c){if(n===void 0){for(n=e.__;n&&(!n.__c||
!n.__c.__P);)n=n.__;n=n&&n.__c}o.__P=n,tn(vt.push(o))}else xe(o)}catch(a){t=a}}),s.__H=void 0,t&&C.__e(t,s.__v))};var en=typeof requestAnimationFrame==
"function";function Un(e){var t,n=function(){clearTimeout(s),en&&cancelAnimationFrame(t),setTimeout(e)},s=setTimeout(n,35);
en&&(t=requestAnimationFrame(n))}function tn(e){e!=1&&Ut==C.requestAnimationFrame||((Ut=C.requestAnimationFrame)||Un)(qn)}
function xe(e){var t=J,n=e.__c;typeof n=="function"&&(e.__c=void 0,n()),J=t}function bt(e){var t=J;e.__c=e.__(),J=t}function rn(e,t){
return!e||e.length!=t.length||t.some(function(n,s){return!_t(n,e[s])})}function on(e,t){return typeof t=="function"?t(e):
t}var z=class extends Error{constructor(n,s){super(s.message);this.status=n;this.body=s}status;body},sn=()=>{};function an(e){
sn=e}async function Se(e,t){let n;try{n=await fetch(e,t)}catch{throw new z(0,{message:"The server does not answer. Is it\
 still running?",param:null,code:"unreachable"})}if(n.ok)return n;n.status===401&&sn();let s=await n.json().catch(()=>null);
throw new z(n.status,s?.error??{message:`The server answered ${n.status}.`,param:null,code:""})}async function wt(e){return JSON.
parse((await e.text()).replace(/"seed":\s*(\d{16,})/g,'"seed":"$1"'))}function Vn(e){let t=We();return JSON.stringify(e,
(s,o)=>typeof o=="bigint"?`${t}${o}`:o).replace(new RegExp(`"${t}(\\d+)"`,"g"),"$1")}async function oe(e){return await wt(
await Se(e))}async function G(e){return(await oe(e)).data}async function Me(e,t,n={}){let s=await Se(e,{method:"POST",headers:{
"Content-Type":"application/json",...n},body:Vn(t)});return await wt(s)}async function ln(e,t){await Se(e,{method:"PATCH",
headers:{"Content-Type":"application/json"},body:JSON.stringify(t)})}async function xt(e){await Se(e,{method:"DELETE"})}
async function cn(e){let t=await Se("/api/images/read",{method:"POST",body:e});return await wt(t)}function We(){return Array.
from(crypto.getRandomValues(new Uint8Array(16)),e=>e.toString(16).padStart(2,"0")).join("")}var Gn=Symbol.for("pv"),Kn=0;function r(e,t,n,s,o,a){t||(t={});var i,l,c=t;if("ref"in c&&typeof e!="function")for(l in c={},t)l=="ref"?i=t[l]:c[l]=t[l];
var p={type:e,props:c,key:n,ref:i,__k:null,__:null,__b:0,__e:null,__c:null,constructor:Gn,__v:--Kn,__i:-1,__u:0};return(o||
a)&&(p.__source=o,p.__self=a),y.vnode&&y.vnode(p),p}var Qn={star:"M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8z",trash:"M4 7h16M9 7V4.5h6V7m-8.5\
 0 .8 12.5h9.4L17.5 7M10 11v5m4-5v5",download:"M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 19.5h14",close:"M6 6l12 12M18 6 6 18",dice:"\
M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",copy:"M9 9h11v11H9zM15 9V4H4v11h5",sun:"M12 8a4 4 0 1 0 0 8\
 4 4 0 0 0 0-8zM12 2.5v2m0 15v2M2.5 12h2m15 0h2M5.3 5.3l1.4 1.4m10.6 10.6 1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",moon:"\
M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",auto:"M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",help:"M9 9.2a3 3 0 1 1 4\
.3 2.7c-.9.5-1.3 1-1.3 2.1M12 17.5h.01",open:"M4 7.5V18h16V9.5h-8.5L9.5 7.5z",back:"M14.5 5.5 8 12l6.5 6.5",next:"M9.5 5\
.5 16 12l-6.5 6.5",plus:"M12 5v14M5 12h14",code:"M9 7l-5 5 5 5M15 7l5 5-5 5"};function $({name:e,filled:t=!1}){return r(
"svg",{class:"icon",viewBox:"0 0 24 24",width:"20",height:"20","aria-hidden":"true",focusable:"false",fill:t?"currentCol\
or":"none",stroke:"currentColor","stroke-width":"1.8","stroke-linecap":"round","stroke-linejoin":"round",children:r("pat\
h",{d:Qn[e]})})}function A(e){let t=e.trim();return t===""||t==="none"||t==="default"?[]:t.split("+").map(n=>{let[s="",...o]=n.split(":"),
a={};for(let i of o.join(":").split(",")){let[l="",...c]=i.split("=");l.trim()!==""&&(a[l.trim()]=c.join("=").trim())}return{
name:s.trim(),values:a}})}function Te(e){return e.length===0?"none":e.map(t=>{let n=Object.entries(t.values).filter(([,s])=>s!==
"").map(([s,o])=>`${s}=${o}`);return n.length>0?`${t.name}:${n.join(",")}`:t.name}).join("+")}function pe(e,t){let n=e?.
rules.find(s=>s.name===t);return n?A(n.text)[0]??null:null}function me(e){return e.kind==="number"||e.kind==="integer"}function un(e){
let t=10**Math.floor(Math.log10(e));return t*([1,2,5,10].find(n=>n*t>=e*.999)??10)}function qe(e,t,n){let s=[Number(t.default),
...n.map(c=>Number(pe(c,e.name)?.values[t.name]))],o=Math.max(...s.filter(Number.isFinite),.5),a=t.minimum??-o*2,i=t.maximum??
Math.max(un(o*2),a+1),l=t.kind==="integer"?1:Math.min(un((i-a)/200),.5);return{min:a,max:i,step:l}}function Ce(e){return String(
Number(e.toPrecision(6)))}var T=class{constructor(t){this.current=t}current;watchers=new Set;get value(){return this.current}set(t){if(t!==this.current){
this.current=t;for(let n of[...this.watchers])n()}}change(t){this.set({...this.current,...t})}watch(t){return this.watchers.
add(t),()=>this.watchers.delete(t)}};function _(e){let[,t]=P({});return B(()=>e.watch(()=>t({})),[e]),e.value}function K(e){
try{return JSON.parse(localStorage.getItem(`attune.${e}`)??"null")}catch{return null}}function se(e,t){try{localStorage.
setItem(`attune.${e}`,JSON.stringify(t))}catch{}}var S=new T(null),Ge=new T(null);async function Ye(){try{let[e,t,n,s,o]=await Promise.all([G("/api/models"),G("/api/guid\
ance"),G("/api/presets"),G("/api/options"),oe("/api/status")]);Ge.set(null),S.set({models:e,rules:t,families:n,options:s,
status:o});let[a]=Mt(D(g.value.model));if(!Zn&&a&&g.change({prompt:a[0],negative:a[1],seed:String(a[2])}),mn(),await Promise.
all([ve(),Q()]),fn(),E.value===null){let i=H.value[0];i&&E.set({kind:"set",id:i.id})}}catch(e){Ge.set(X(e))}}function X(e){
return e instanceof Error?e.message:String(e)}var dn={scenes:[["a lion on a blue background","crown",7],["a panda on a b\
lue background","sunglasses",5],["a fox on a green background","hat",4]],other:[["a red fox in fresh snow at sunrise, ph\
otograph","blurry, text",7],["a small wooden house by a lake, watercolour","people",5]]};function Mt(e){return e?.attune.
family?.startsWith("scenes")?dn.scenes:dn.other}var Yn={mode:"compare",prompt:"",negative:"",model:"",guidance:"default",
rules:[],size:"",steps:"",seed:"7",newSeed:!0,count:4,scheduler:"",more:{},trace:!0,grid:{parameter:"",from:"",to:"",count:4},
picture:null},Zn=K("form")!==null,g=new T({...Yn,...K("form"),picture:null});g.watch(()=>{se("form",{...g.value,picture:null}),
mn()});function D(e){let t=S.value?.models??[];return t.find(n=>n.id===(e||S.value?.status.default_model))??t[0]}function Tt(e){
return S.value?.families.find(t=>t.family===e?.attune.family)}function pn(e){let t={prompt:e.prompt,guidance:Ze(e),preview:!0};
e.negative.trim()!==""&&(t.negative_prompt=e.negative),e.model!==""&&(t.model=e.model),e.size!==""&&(t.size=e.size),e.steps!==
""&&(t.steps=Number(e.steps)),e.seed!==""&&(t.seed=BigInt(e.seed)),e.scheduler!==""&&(t.scheduler=e.scheduler),e.trace&&
(t.trace=!0);let n=et(D(e.model));for(let s of n){let o=e.more[s.key];o===void 0||o===""||(t[s.key]=s.kind==="flag"?o===
"true":s.kind==="integer"||s.kind==="number"?Number(o):o)}return e.picture&&(t.images=[{image_url:e.picture.data}]),t}function Ze(e){
return e.guidance==="own"?Te(e.rules):e.guidance}var er=new Set(["prompt","negative_prompt","steps","seed","width","heig\
ht","count","guidance","scheduler"]);function et(e){let t=new Set(e?.attune.takes??[]);return(S.value?.options??[]).filter(
n=>!er.has(n.key)&&(n.takes===void 0||t.has(n.takes)))}function Re(e){return Tt(D(e.model))?.guidance??"none"}function tt(e){
let[t,n]=[Number(e.from),Number(e.to)];if(e.from===""||e.to===""||!Number.isFinite(t)||!Number.isFinite(n))return[];let s=e.
parameter==="steps"||e.parameter.endsWith(".norm"),o=Array.from({length:e.count},(a,i)=>t+(n-t)*i/Math.max(e.count-1,1));
return[...new Set(o.map(a=>String(s?Math.round(a):Number(a.toPrecision(3)))))]}function tr(e,t,n,s){if(!t.includes("."))
return{...e,[t]:Number(n)};let[o,a]=t.split("."),i=e.guidance==="default"?s:String(e.guidance),l=A(i).map(c=>c.name===o?
{...c,values:{...c.values,[a]:n}}:c);return{...e,guidance:Te(l)}}var L=new T({answer:null,error:null}),Ue=0;async function mn(){
let e=++Ue;if(await new Promise(t=>setTimeout(t,250)),!(e!==Ue||S.value===null))try{let t=await Me("/api/check",pn(g.value));
e===Ue&&L.set({answer:t,error:null})}catch(t){e===Ue&&t instanceof z&&t.status!==401&&L.set({answer:null,error:t.body})}}
var nr=24,H=new T(K("sets")??[]);function rr(e){H.set([e,...H.value].slice(0,nr)),se("sets",H.value)}var E=new T(null);E.
watch(()=>{let e=E.value?.kind==="picture"?`#picture=${E.value.id}`:"";location.hash!==e&&history.replaceState(null,"",e===
""?location.pathname:e)});function fn(){let e=/^#picture=([0-9a-z]{26})$/.exec(location.hash)?.[1];e!==void 0&&le(e)}addEventListener(
"hashchange",fn);async function le(e){if(!Y(e))try{_e([await oe(`/api/images/${e}`)])}catch(t){F(X(t));return}E.set({kind:"\
picture",id:e})}var Pe=new T(!1),he=new T(null);async function or(e){let t={"Idempotency-Key":We()};for(let n=0;;n++)try{
let s=await Me("/api/jobs",e,t);return rt(s),s}catch(s){if(n>=2||!(s instanceof z)||s.status!==0)throw s;await new Promise(
o=>setTimeout(o,500))}}async function ce(e=g.value){if(Pe.value)return;Pe.set(!0),he.set(null);let t=[];try{e.seed===""&&
(e={...e,seed:Ke()});let n=await sr(e,t);rr(n),E.set({kind:"set",id:n.id}),g.value.newSeed&&g.change({seed:Ke()}),document.
querySelector("#stage")?.scrollIntoView({block:"nearest"})}catch(n){for(let s of t)be(s.id);he.set(n instanceof z?n.body:
{message:X(n),param:null,code:""})}finally{Pe.set(!1),ve()}}async function sr(e,t){let n=pn(e),s=BigInt(e.seed),o={id:We(),
kind:e.mode,prompt:String(n.prompt),cells:[],columns:[],rows:[],axis:""},a=async i=>{let l=await or(i);return t.push(l),
l};if(e.mode==="compare"){let i={...n,guidance:Re(e)};i.guidance==="none"&&delete i.negative_prompt;let l=await a(i),c=await a(
n),p=A(L.value.answer?.guidance??Ze(e)).map(u=>u.name.toUpperCase());o.cells=[{job:l.id,index:0,label:i.guidance==="none"?
"Without guidance":`With ${i.guidance} alone`},{job:c.id,index:0,label:p.length>0?`With ${p.join(" + ")}`:"As asked"}]}else if(e.
mode==="grid"){let i=tt(e.grid),l=Math.max(e.count,1);o.axis=e.grid.parameter,o.columns=i,o.rows=Array.from({length:l},(p,u)=>`\
seed ${s+BigInt(u)}`);let c=[];for(let p of i){let u=tr({...n,n:l},e.grid.parameter,p,L.value.answer?.guidance??"default");
c.push(await a(u))}for(let p=0;p<l;p++)for(let[u,m]of c.entries())o.cells.push({job:m.id,index:p,label:`${e.grid.parameter}\
 ${i[u]}, seed ${s+BigInt(p)}`})}else{let i=e.mode==="seeds"?e.count:1,l=await a({...n,n:i});o.cells=Array.from({length:i},
(c,p)=>({job:l.id,index:p,label:`seed ${s+BigInt(p)}`}))}return o}function Ke(){return String(crypto.getRandomValues(new Uint32Array(
1))[0])}var O=new T(new Map),W=new T(new Map),nt=new T(""),Ve=new Map,ae=e=>e.status==="queued"||e.status==="running";function ge(e){
return[...e.values()].filter(ae).sort((t,n)=>(t.position??-1)-(n.position??-1)||t.created-n.created)}function rt(...e){let t=new Map(
O.value);for(let n of e)t.set(n.id,n);O.set(t),_e(e.flatMap(n=>n.images))}async function ve(){try{let e=await G("/api/jo\
bs?limit=100"),t=[...O.value.values()].filter(i=>ae(i)&&!e.some(l=>l.id===i.id)),s=((E.value?.kind==="set"?H.value.find(
i=>i.id===E.value.id):H.value[0])?.cells??[]).map(i=>i.job).filter(i=>!O.value.has(i)&&!e.some(l=>l.id===i)),o=await Promise.
all([...new Set([...t.map(i=>i.id),...s])].map(hn)),a=[...O.value.values()].filter(ae).length;rt(...e,...o.filter(i=>i!==
null)),a>0&&ge(O.value).length===0&&Q(),ar()}catch{}}async function hn(e){try{return await oe(`/api/jobs/${e}`)}catch{return O.
value.has(e)?{...O.value.get(e),status:"cancelled"}:null}}async function fe(e){let t=await hn(e);t&&rt(t)}function ar(){
let e=ge(O.value).filter(n=>n.status==="running").slice(0,2),t=ge(O.value)[0];for(let n of e.length>0?e:t?[t]:[])Ve.has(
n.id)||ir(n.id)}function ir(e){let t=new EventSource(`/api/jobs/${e}/events`);Ve.set(e,t);let n=(o,a)=>t.addEventListener(
o,i=>a(JSON.parse(i.data))),s=()=>{t.close(),Ve.delete(e),fe(e).then(()=>{lr(e),cr(e),Q(),ve()})};n("started",({image:o})=>{
let a=O.value.get(e);a&&rt({...a,status:"running"}),kt(e,{image:o,index:0,count:0,preview:null})}),n("step",o=>kt(e,{image:o.
image,index:o.index,count:o.count,preview:W.value.get(e)?.preview??null})),n("preview",o=>kt(e,{image:o.image,index:o.index,
count:o.count,preview:`data:image/png;base64,${o.b64_json}`})),n("image",()=>{fe(e)});for(let o of["completed","cancelle\
d","failed"])n(o,s);t.addEventListener("error",()=>{t.readyState===EventSource.CLOSED&&(Ve.delete(e),fe(e))})}function kt(e,t){
W.set(new Map(W.value).set(e,t))}function lr(e){let t=new Map(W.value);t.delete(e),W.set(t)}function cr(e){let t=O.value.
get(e);if(!t)return;let n=t.count===1?"The picture":`${t.images.length} of ${t.count} pictures`;nt.set(t.status==="compl\
eted"?`${n} made: ${String(t.request.prompt)}`:t.status==="failed"?`Failed: ${t.error?.message??""}`:"Cancelled.")}async function be(e){
try{await xt(`/api/jobs/${e}`)}catch(t){F(X(t))}await fe(e),ve()}var ur=1500;setInterval(()=>{document.visibilityState===
"visible"&&S.value&&ge(O.value).length>0&&ve()},ur);document.addEventListener("visibilitychange",()=>{document.visibilityState===
"visible"&&S.value&&Promise.all([ve(),Q()])});var Qe=48,N=new T({ids:[],more:!1,starred:!1}),ie=new T(new Map),St=new Set;
function Y(e){return ie.value.get(e)}function _e(e){if(e.length===0)return;let t=new Map(ie.value);for(let n of e)t.set(
n.id,n);ie.set(t)}async function Q(){let{starred:e}=N.value;try{let t=await G(`/api/images?limit=${Qe}&starred=${e}`);if(N.
value.starred!==e)return;_e(t),N.set({ids:t.map(n=>n.id).filter(n=>!St.has(n)),more:t.length===Qe,starred:e})}catch(t){F(
X(t))}}async function gn(){let{ids:e,starred:t}=N.value,n=await G(`/api/images?limit=${Qe}&starred=${t}&before=${e.at(-1)??
""}`);_e(n),N.change({ids:[...e,...n.map(s=>s.id)],more:n.length===Qe})}async function ot(e){_e([{...e,starred:!e.starred}]);
try{await ln(`/api/images/${e.id}`,{starred:!e.starred})}catch(t){_e([e]),F(X(t))}}function _n(e){St.add(e.id);let{ids:t}=N.
value,n=t[t.indexOf(e.id)+1]??t[t.indexOf(e.id)-1];N.change({ids:t.filter(s=>s!==e.id)}),E.value?.kind==="picture"&&E.value.
id===e.id&&E.set(n?{kind:"picture",id:n}:null),F("The picture is deleted.",{label:"Undo",act:()=>{St.delete(e.id),Q()},otherwise:()=>{
xt(`/api/images/${e.id}`).then(Q,s=>F(X(s)))}})}function ye(e,t=!0){let n=c=>e[c]===void 0||e[c]===null?"":String(e[c]),
s=n("guidance"),o=A(s),a=S.value?.models.find(c=>c.id===n("model"))?.id??"",i=n("width")!==""&&n("height")!==""?`${n("wi\
dth")}x${n("height")}`:"",l={};for(let c of et(D(a)))n(c.key)!==""&&(l[c.key]=n(c.key));g.change({mode:"picture",prompt:n(
"prompt"),negative:n("negative_prompt"),model:a,guidance:s===""||s==="default"?"default":o.length===0?"none":"own",rules:o,
more:l,size:i===D(a)?.attune.default_size?"":i,steps:n("steps"),scheduler:n("scheduler"),...t?{seed:n("seed"),newSeed:!1}:
{}}),he.set(null)}var dr=e=>(e?.attune.takes??[]).some(t=>t==="image"||t==="references");async function Je(e){try{let{parameters:t}=await cn(
e);t?(ye(t),F(`The settings of ${e.name} are recalled.`),nt.set("Settings recalled.")):dr(D(g.value.model))?(await Ct(e),
F(`${e.name} says nothing of how it was made; the next picture begins with it.`)):F(`${e.name} says nothing of how it wa\
s made.`)}catch(t){F(X(t))}}async function Ct(e){let t=await new Promise((n,s)=>{let o=new FileReader;o.onload=()=>n(String(
o.result)),o.onerror=()=>s(new Error(`${e.name} cannot be read.`)),o.readAsDataURL(e)});g.change({picture:{name:e.name,data:t}})}
var $e=new T(null),vn=0;function F(e,t){Ee(!1),$e.set({text:e,...t}),vn=window.setTimeout(()=>Ee(!1),t?7e3:4500)}function Ee(e){
clearTimeout(vn);let t=$e.value;$e.set(null),e?t?.act?.():t?.otherwise?.()}addEventListener("pagehide",()=>Ee(!1));function bn(){let e=_(g),t=_(S),{answer:n}=_(L),s=Tt(D(e.model)),o=()=>{let i=A(n?.guidance??"none");if(i.length>0)return i;
let l=s?.rules[0]?.name??"nag";return[pe(s,l)??Pt(t.rules.find(c=>c.name===l))]},a=i=>g.change(i==="own"?{guidance:i,rules:e.
guidance==="own"?e.rules:o()}:{guidance:i});return r("fieldset",{class:"card guidance",children:[r("legend",{children:"G\
uidance"}),r("div",{class:"segments",role:"group","aria-label":"Which guidance",children:[r(Z,{name:"guidance",value:"de\
fault",chosen:e.guidance,choose:a,text:"Automatic"}),r(Z,{name:"guidance",value:"none",chosen:e.guidance,choose:a,text:"\
None"}),r(Z,{name:"guidance",value:"own",chosen:e.guidance,choose:a,text:"My own"})]}),e.guidance==="default"&&r(pr,{text:n?.
guidance,rules:t.rules,adjust:()=>a("own")}),e.guidance==="none"&&r("p",{class:"hint",children:"The plain model. Nothing\
 reads the negative prompt."}),e.guidance==="own"&&r(mr,{asked:e,rules:t.rules,families:t.families,family:s})]})}function Z({
name:e,value:t,chosen:n,choose:s,text:o}){return r("label",{children:[r("input",{type:"radio",name:e,value:t,checked:n===
t,onChange:()=>s(t)}),r("span",{children:o})]})}function pr({text:e,rules:t,adjust:n}){let s=A(e??"none");return s.length===
0?r("p",{class:"hint",children:"What is published for this model: none without a negative prompt. Write one, and a rule \
that reads it turns on."}):r("div",{class:"resolved",children:[s.map(o=>{let a=t.find(l=>l.name===o.name),i=Object.entries(
o.values).filter(([l])=>a?.parameters.some(c=>c.name===l&&me(c)));return r("p",{children:[r("strong",{children:a?.title??
o.name})," ",i.map(([l,c])=>r("code",{children:[l," ",c]},l))]},o.name)}),r("p",{class:"hint",children:"The published va\
lues for this model."}),r("button",{type:"button",class:"small",onClick:n,children:"Adjust"})]})}function Pt(e){return e?
A(e.text)[0]??{name:e.name,values:{}}:{name:"nag",values:{}}}function mr({asked:e,rules:t,families:n,family:s}){let o=c=>g.
change({rules:c}),a=t.filter(c=>!e.rules.some(p=>p.name===c.name)),i=c=>s?.rules.some(p=>p.name===c.name)??!1,l=c=>{let p=t.
find(u=>u.name===c);p&&o([...e.rules,pe(s,c)??Pt(p)])};return r(R,{children:[e.rules.map((c,p)=>{let u=t.find(m=>m.name===
c.name);return u&&r(hr,{rule:u,chosen:c,families:n,family:s,change:m=>o(e.rules.map((f,d)=>d===p?m:f)),remove:()=>o(e.rules.
filter((m,f)=>f!==p))},c.name)}),r("label",{class:"add",children:[r("span",{class:"name",children:"Add a rule"}),r("sele\
ct",{value:"",onChange:c=>{l(c.currentTarget.value),c.currentTarget.value=""},children:[r("option",{value:"",children:"C\
hoose…"}),[["Published for this model",a.filter(i)],["Others",a.filter(c=>!i(c))]].map(([c,p])=>p.length>0&&r("optgrou\
p",{label:c,children:p.map(u=>r("option",{value:u.name,children:u.title??u.name},u.name))},c))]})]}),r(fr,{asked:e,set:o})]})}
function fr({asked:e,set:t}){let[n,s]=P(null),{error:o}=_(L);return r("label",{children:[r("span",{class:"name",children:"\
As text, as on the command line"}),r("input",{type:"text",class:"mono",spellcheck:!1,autocomplete:"off",value:n??Te(e.rules),
"aria-invalid":o?.param==="guidance",onFocus:()=>s(Ze(e)),onInput:a=>{s(a.currentTarget.value),t(A(a.currentTarget.value))},
onBlur:()=>s(null)})]})}function hr({rule:e,chosen:t,families:n,family:s,change:o,remove:a}){let i=(f,d)=>o({...t,values:{
...t.values,[f]:d}}),l=n.filter(f=>f.rules.some(d=>d.name===e.name)),c=pe(s,e.name)??Pt(e),[p,u]=P(""),m=n.find(f=>f.family===
p)?.rules.find(f=>f.name===e.name)??s?.rules.find(f=>f.name===e.name);return r("section",{class:"rule","aria-label":e.title??
e.name,children:[r("header",{children:[r("h3",{children:e.title??e.name}),r("button",{type:"button",class:"plain","aria-\
label":`Remove ${e.name}`,title:"Remove",onClick:a,children:r($,{name:"close"})})]}),r("p",{class:"hint",children:e.about}),
e.more_passes>0&&r("p",{class:"hint",children:["Costs ",e.more_passes===1?"one more pass":`${e.more_passes} more passes`,
" a step."]}),e.parameters.filter(me).map(f=>r(gr,{rule:e,parameter:f,families:n,value:t.values[f.name]??f.default,plain:c.
values[f.name]??f.default,set:d=>i(f.name,d)},f.name)),r("details",{children:[r("summary",{children:["More of ",e.name]}),
e.parameters.filter(f=>!me(f)).map(f=>r("label",{children:[r("span",{class:"name",children:f.name}),f.kind==="choice"?r(
"select",{value:t.values[f.name]??f.default,onChange:d=>i(f.name,d.currentTarget.value),children:f.choices.map(d=>r("opt\
ion",{value:d,children:d},d))}):r("input",{type:"text",class:"mono",value:t.values[f.name]??"",placeholder:f.default,onInput:d=>i(
f.name,d.currentTarget.value)}),r("span",{class:"hint",children:f.about})]},f.name)),r("label",{children:[r("span",{class:"\
name",children:"Values published for"}),r("select",{value:p,onChange:f=>{u(f.currentTarget.value);let d=pe(n.find(h=>h.family===
f.currentTarget.value),e.name);d&&o(d)},children:[r("option",{value:"",children:m&&p===""?"this model":"Choose a model…"}),
l.map(f=>r("option",{value:f.family,children:f.title},f.family))]}),m&&r("span",{class:"hint",children:[m.origin,": ",m.
source]})]})]})]})}function gr({rule:e,parameter:t,families:n,value:s,plain:o,set:a}){let{min:i,max:l,step:c}=qe(e,t,n),
p=Number(s),u=Number.isFinite(p)?p:s.startsWith("inf")?l:i,m=`${e.name}-${t.name}`,f=Math.min(Math.max((u-i)/(l-i),0),1);
return r("div",{class:"slider",children:[r("label",{for:m,class:"name",children:t.name}),s!==o&&r("button",{type:"button",
class:"reset",onClick:()=>a(o),"aria-label":`Set ${t.name} back to ${o}`,children:["back to ",o]}),r("input",{type:"text",
inputmode:"decimal",class:"number","aria-label":`${t.name}, ${t.range??"any number"}`,value:s,onChange:d=>a(d.currentTarget.
value.trim()||o)}),r("input",{type:"range",id:m,min:i,max:l,step:c,value:u,style:{"--part":f},"aria-describedby":`${m}-a\
bout`,"aria-valuetext":s,onInput:d=>a(Ce(d.currentTarget.valueAsNumber))}),r("p",{class:"hint",id:`${m}-about`,children:[
t.about," ",r("span",{class:"range",children:t.range})]})]})}function yn(){let e=_(g),t=D(e.model),{answer:n,error:s}=_(L),o=_(he),a=n&&n.reads_negative===!1&&e.negative.trim()!=="";
return r("form",{class:"composer","aria-label":"What to make",onSubmit:i=>{i.preventDefault(),ce()},children:[r("div",{class:"\
card words",children:[r("label",{children:[r("span",{class:"name",children:"Prompt"}),r("textarea",{id:"prompt",rows:2,value:e.
prompt,placeholder:"What the picture shows",required:!0,"aria-invalid":(o??s)?.param==="prompt",onInput:i=>g.change({prompt:i.
currentTarget.value})})]}),r("label",{class:"negative",children:[r("span",{class:"name",children:"Not in the picture"}),
r("textarea",{id:"negative",rows:1,value:e.negative,placeholder:"The negative prompt","aria-describedby":"negative-help",
onInput:i=>g.change({negative:i.currentTarget.value})})]}),r("p",{id:"negative-help",class:a?"warning":"hint",role:"stat\
us",children:a?"Nobody reads the negative prompt: the guidance has no rule that does. Choose Automatic, or add nag.":e.negative.
trim()===""?"Works in few steps too: guidance in attention reads it.":""}),r("p",{class:"examples",children:[r("span",{class:"\
hint",children:"Try"}),Mt(t).map(([i,l,c])=>r("button",{type:"button",class:"chip",onClick:()=>g.change({prompt:i,negative:l,
seed:String(c)}),children:[i," ",r("span",{class:"not",children:["not ",l]})]},i))]})]}),r(br,{asked:e}),r(bn,{}),r(kr,{
asked:e}),r(Sr,{asked:e}),r("div",{class:"go",children:[r(vr,{}),r("button",{type:"submit",class:"primary",disabled:_(Pe),
"aria-keyshortcuts":"Control+Enter",children:[_r(e)," ",r("kbd",{"aria-hidden":"true",children:"Ctrl ⏎"})]})]})]})}function _r(e){
let t=e.mode==="grid"?tt(e.grid).length*e.count:e.count;return{picture:"Make the picture",compare:"Make both pictures",seeds:`\
Make ${t} pictures`,grid:`Make ${t} pictures`}[e.mode]}function vr(){let{answer:e,error:t}=_(L),n=_(he)??t,s=e?.seconds??
0,o=(e?.warnings??[]).filter(a=>!a.startsWith("No guidance rule reads"));return r("div",{class:"warnings",children:[r("d\
iv",{role:"alert",children:n&&r("p",{class:"error",children:n.message})}),r("div",{role:"status",children:[o.map(a=>r("p",
{class:"warning",children:a},a)),!n&&e&&e.size&&r("p",{class:"hint",children:[e.size.replace("x"," × "),", ",e.steps," \
steps",s>=5?`, about ${Math.round(s)} s`:""]})]})]})}function br({asked:e}){let t=s=>{let o=s==="grid"&&e.grid.parameter===
""?xn(wn(e)[0]?.key??"steps",e):e.grid;g.change({mode:s,grid:o,count:s==="grid"?Math.min(e.count,2):e.count})},n=Re(e);return r(
"fieldset",{class:"card",children:[r("legend",{children:"Make"}),r("div",{class:"segments four",role:"group","aria-label":"\
What to make",children:[r(Z,{name:"mode",value:"compare",chosen:e.mode,choose:t,text:"Compare"}),r(Z,{name:"mode",value:"\
picture",chosen:e.mode,choose:t,text:"Picture"}),r(Z,{name:"mode",value:"seeds",chosen:e.mode,choose:t,text:"Seeds"}),r(
Z,{name:"mode",value:"grid",chosen:e.mode,choose:t,text:"Grid"})]}),e.mode==="compare"&&r("p",{class:"hint",children:["T\
he same seed twice: ",n==="none"?"without guidance":`with ${n} alone`,", and as you ask."]}),e.mode==="seeds"&&r(yr,{asked:e,
text:"Pictures",most:10,about:"Seeds that follow one another."}),e.mode==="grid"&&r(wr,{asked:e})]})}function yr({asked:e,
text:t,most:n,about:s}){return r("label",{class:"line",children:[r("span",{class:"name",children:t}),r("input",{type:"nu\
mber",class:"number",min:1,max:n,value:e.count,onChange:o=>g.change({count:Math.min(Math.max(Math.round(o.currentTarget.
valueAsNumber)||1,1),n)})}),r("span",{class:"hint",children:s})]})}function wn(e){let t=e.guidance==="own"?e.rules:A(L.value.
answer?.guidance??"none"),n=S.value?.rules??[];return[...t.flatMap(s=>(n.find(o=>o.name===s.name)?.parameters??[]).filter(
me).map(o=>({key:`${s.name}.${o.name}`,text:`${s.name}: ${o.name}`}))),{key:"steps",text:"steps"},...D(e.model)?.attune.
takes.includes("guidance_scale")?[{key:"guidance_scale",text:"embedded guidance"}]:[]]}function xn(e,t){let n=D(t.model),
[s,o]=e.split("."),a=S.value?.rules.find(p=>p.name===s),i=a?.parameters.find(p=>p.name===o);if(!a||!i){let p=n?.attune.default_steps??
4;return{parameter:e,from:"1",to:e==="steps"?String(p*2):"7",count:4}}let{min:l,max:c}=qe(a,i,S.value?.families??[]);return{
parameter:e,from:Ce(l),to:Ce(c),count:i.kind==="integer"?Math.min(c-l+1,4):4}}function wr({asked:e}){_(L);let{grid:t}=e,
n=wn(e),s=a=>g.change({grid:{...t,...a}}),o=(a,i)=>r("label",{children:[r("span",{class:"name",children:i}),r("input",{type:"\
text",inputmode:"decimal",class:"number",value:t[a],onChange:l=>s({[a]:l.currentTarget.value})})]});return r(R,{children:[
r("label",{children:[r("span",{class:"name",children:"Over"}),r("select",{value:t.parameter,onChange:a=>g.change({grid:xn(
a.currentTarget.value,e)}),children:[n.every(a=>a.key!==t.parameter)&&r("option",{value:t.parameter,children:[t.parameter,
" (does not act now)"]}),n.map(a=>r("option",{value:a.key,children:a.text},a.key))]})]}),r("div",{class:"fields",children:[
o("from","From"),o("to","To"),r("label",{children:[r("span",{class:"name",children:"Values"}),r("input",{type:"number",class:"\
number",min:2,max:8,value:t.count,onChange:a=>s({count:Math.min(Math.max(Math.round(a.currentTarget.valueAsNumber)||2,2),
8)})})]}),r("label",{children:[r("span",{class:"name",children:"Seeds"}),r("input",{type:"number",class:"number",min:1,max:6,
value:e.count,onChange:a=>g.change({count:Math.min(Math.max(Math.round(a.currentTarget.valueAsNumber)||1,1),6)})})]})]}),
r("p",{class:"hint",children:tt(t).join(", ")})]})}function xr(e){let[t=512,n=512]=(e?.attune.default_size??"").split("x").
map(Number),s=e?.attune.size_multiple??16,o=t*n,a=i=>Math.max(Math.round(i/s),1)*s;return[[1,1],[4,3],[3,4],[3,2],[2,3],
[16,9],[9,16]].map(([i,l])=>`${a(Math.sqrt(o*i/l))}x${a(Math.sqrt(o*l/i))}`).filter((i,l,c)=>c.indexOf(i)===l)}function kr({
asked:e}){let t=D(e.model),n=t?.attune.default_size??"",s=[...new Set([n,...xr(t),...e.size!==""?[e.size]:[]])];return r(
"fieldset",{class:"card",children:[r("legend",{children:"Picture"}),r("div",{class:"fields",children:[r("label",{children:[
r("span",{class:"name",children:"Size"}),r("select",{value:e.size===""?n:e.size,onChange:o=>g.change({size:o.currentTarget.
value===n?"":o.currentTarget.value}),children:s.map(o=>r("option",{value:o,children:[o.replace("x"," × "),o===n?" (the \
model's)":""]},o))})]}),r("label",{children:[r("span",{class:"name",children:"Steps"}),r("input",{type:"number",class:"n\
umber",min:1,max:t?.attune.max_steps,value:e.steps,placeholder:String(t?.attune.default_steps??""),onInput:o=>g.change({
steps:o.currentTarget.value})})]})]}),r("div",{class:"seed",children:[r("label",{children:[r("span",{class:"name",children:"\
Seed"}),r("input",{type:"text",inputmode:"numeric",pattern:"[0-9]*",value:e.seed,placeholder:"by chance",onInput:o=>g.change(
{seed:o.currentTarget.value.replace(/\D/g,"").slice(0,18)})})]}),r("button",{type:"button",class:"plain",title:"Another \
seed","aria-label":"Another seed",onClick:()=>g.change({seed:Ke()}),children:r($,{name:"dice"})}),r("label",{class:"chec\
k",children:[r("input",{type:"checkbox",checked:e.newSeed,onChange:o=>g.change({newSeed:o.currentTarget.checked})}),r("s\
pan",{children:"another one each time"})]})]})]})}function Sr({asked:e}){let t=D(e.model),n=S.value,s=t?.attune.takes.some(
o=>o==="image"||o==="references");return r("details",{class:"card more",children:[r("summary",{children:"More"}),n.models.
length>1&&r("label",{children:[r("span",{class:"name",children:"Model"}),r("select",{value:t?.id,onChange:o=>g.change({model:o.
currentTarget.value,size:"",steps:""}),children:n.models.map(o=>r("option",{value:o.id,children:o.id},o.id))})]}),s&&r("\
div",{class:"begin",children:[r("label",{children:[r("span",{class:"name",children:"Begin with a picture"}),r("input",{type:"\
file",accept:"image/*",onChange:o=>{let a=o.currentTarget.files?.[0];a&&Ct(a)}})]}),e.picture&&r("p",{children:[r("img",
{src:e.picture.data,alt:e.picture.name,width:64}),r("button",{type:"button",class:"small",onClick:()=>g.change({picture:null}),
children:["Without ",e.picture.name]})]})]}),r("label",{class:"check",children:[r("input",{type:"checkbox",checked:e.trace,
onChange:o=>g.change({trace:o.currentTarget.checked})}),r("span",{children:"Record what guidance does"})]}),r("p",{class:"\
hint",children:"Measures every attention layer in every step; the picture stays the same. Takes some time with large mod\
els."}),r("label",{children:[r("span",{class:"name",children:"Scheduler"}),r("input",{type:"text",class:"mono",value:e.scheduler,
placeholder:t?.attune.scheduler,spellcheck:!1,onChange:o=>g.change({scheduler:o.currentTarget.value.trim()})}),r("span",
{class:"hint",children:"euler, heun, lcm, dpmpp_2m karras, …"})]}),et(t).map(o=>r("label",{class:o.kind==="flag"?"chec\
k":"",children:[o.kind==="flag"?r("input",{type:"checkbox",checked:e.more[o.key]==="true",onChange:a=>g.change({more:{...e.
more,[o.key]:a.currentTarget.checked?"true":""}})}):r("span",{class:"name",children:o.key.replaceAll("_"," ")}),o.kind===
"flag"?r("span",{children:o.key.replaceAll("_"," ")}):r("input",{type:"text",value:e.more[o.key]??"",placeholder:o.range??
"",onChange:a=>g.change({more:{...e.more,[o.key]:a.currentTarget.value.trim()}})}),r("span",{class:"hint",children:o.description})]},
o.key))]})}function kn({without:e,with:t,labels:n,ratio:s,most:o}){let[a,i]=P(K("beside")??!1),[l,c]=P(50),p=u=>{i(u),se("beside",u)};
return r("div",{class:`comparison ${a?"two":"one"}`,style:{"--most":o,"--ratio":s},children:[a?r("div",{class:"beside",children:[
r("figure",{children:[r("div",{style:{aspectRatio:String(s)},children:e}),r("figcaption",{children:n[0]})]}),r("figure",
{children:[r("div",{style:{aspectRatio:String(s)},children:t}),r("figcaption",{children:n[1]})]})]}):r("div",{class:"ove\
r",style:{"--at":`${l}%`,aspectRatio:String(s)},children:[r("div",{class:"layer",children:t}),r("div",{class:"layer firs\
t",children:e}),r("span",{class:"tag left","aria-hidden":"true",children:n[0]}),r("span",{class:"tag right","aria-hidden":"\
true",children:n[1]}),r("input",{type:"range",min:0,max:100,step:1,value:l,"aria-label":`Divider. Left: ${n[0]}. Right: ${n[1]}\
.`,"aria-valuetext":`${l} % ${n[0]}`,onInput:u=>c(u.currentTarget.valueAsNumber)}),r("span",{class:"divider","aria-hidde\
n":"true",children:r("span",{class:"knob"})})]}),r("div",{class:"segments two",role:"group","aria-label":"How to compare",
children:[r("label",{children:[r("input",{type:"radio",name:"beside",checked:!a,onChange:()=>p(!1)}),r("span",{children:"\
Divider"})]}),r("label",{children:[r("input",{type:"radio",name:"beside",checked:a,onChange:()=>p(!0)}),r("span",{children:"\
Side by side"})]})]})]})}var Mr=[{title:"Attention",test:/^attention\./,open:!0},{title:"Predictions",test:/^prediction\./,open:!0},{title:"Retri\
eval: attention as a Hopfield network",test:/^(hopfield|entmax|anderson)\./,open:!1}];function Mn({url:e,picture:t}){let[
n,s]=P(null),[o,a]=P("");if(B(()=>{oe(e).then(s,l=>a(X(l)))},[e]),o)return r("p",{class:"error",role:"alert",children:o});
if(!n)return r("p",{class:"hint",children:"Reading the trace…"});let i=n.series.filter(l=>l.rule!==null);return r("sec\
tion",{class:"trace","aria-label":"Trace",children:[n.places.slice(0,1).map(l=>r(Jr,{places:l,picture:t},"places")),i.map(
(l,c)=>r(Sn,{trace:n,series:l},c)),Mr.map(({title:l,test:c,open:p})=>{let u=n.series.filter(m=>m.rule===null&&c.test(m.quantity));
return u.length>0&&r("details",{open:p,children:[r("summary",{children:l}),u.map(m=>r(Sn,{trace:n,series:m},m.quantity))]},
l)})]})}function ue(e,t){let n=t.unit==="share"?e*100:e,s=Math.abs(n)>=1e3||n!==0&&Math.abs(n)<.001?n.toExponential(1):String(
Number(n.toPrecision(3)));return t.unit==="share"?`${s} %`:s}var Tr=[[43,30,102],[47,92,148],[31,142,140],[93,187,99],[242,
227,76]],Cr=[[29,78,158],[111,163,216],[213,216,220],[231,154,85],[176,74,18]];function Tn(e,t,n){let s=t<0&&n>0,o=Math.
max(-t,n),[a,i]=s?[-o,o]:[t,n],l=i>a?Math.min(Math.max((e-a)/(i-a),0),1):.5,c=s?Cr:Tr,p=l*(c.length-1),u=Math.min(Math.floor(
p),c.length-2),m=c[u].map((d,h)=>Math.round(d+(c[u+1][h]-d)*(p-u))),f=(.2126*m[0]+.7152*m[1]+.0722*m[2])/255;return{color:`\
rgb(${m.join(" ")})`,isLight:f>.45}}function Cn(e){let t=e.some(s=>s.startsWith("single_transformer_blocks.")),n=e.map(s=>s.
replace(/\.attn[12]?$/,"").replace(/^single_transformer_blocks\./,"single.").replace(/^transformer_blocks\./,t?"double.":
"block.").replace(/^(down|up)_blocks\./,"$1.").replace(/^mid_block\./,"mid.").replaceAll("attentions.","").replaceAll("t\
ransformer_blocks.",""));return new Set(n).size===n.length?n:e}var Pr=500;function Sn({trace:e,series:t}){let n=e.quantities.
find(o=>o.name===t.quantity),s=[...new Set(t.values.map(o=>o.layer))].filter(o=>o!==null).sort((o,a)=>o-a);return r("art\
icle",{class:"panel",children:[r("h4",{children:[n.title,t.rule!==null&&r("code",{children:e.rules[t.rule]?.name})]}),r(
"p",{children:t.says}),s.length===0?r(Rr,{trace:e,series:t,quantity:n}):s.length*e.steps.length<=Pr?r($r,{trace:e,series:t,
quantity:n,layers:s}):r(Er,{trace:e,series:t,quantity:n,layers:s}),r("p",{class:"hint",children:n.definition})]})}function $r({
trace:e,series:t,quantity:n,layers:s}){let o=Cn(s.map(c=>e.layers[c].path)),a=t.values.map(c=>c.mean),[i,l]=[Math.min(...a),
Math.max(...a)];return r("div",{class:"scroll",tabIndex:0,role:"region","aria-label":`${n.title}, by layer and step`,children:r(
"table",{class:"map",children:[r("thead",{children:r("tr",{children:[r("th",{scope:"col",children:"layer"}),e.steps.map(
c=>r("th",{scope:"col",children:["step ",c.index+1]},c.index))]})}),r("tbody",{children:s.map((c,p)=>r("tr",{children:[r(
"th",{scope:"row",title:e.layers[c].path,children:o[p]}),e.steps.map(u=>{let m=t.values.find(h=>h.layer===c&&h.step===u.
index);if(!m)return r("td",{class:"none",children:"–"},u.index);let{color:f,isLight:d}=Tn(m.mean,i,l);return r("td",{class:d?
"light":"dark",style:{background:f},title:`middle 80 %: ${ue(m.p10,n)} to ${ue(m.p90,n)}`,children:ue(m.mean,n)},u.index)})]},
c))})]})})}function Er({trace:e,series:t,quantity:n,layers:s}){let o=de(null),[a,i]=P(""),l=Cn(s.map(h=>e.layers[h].path)),
c=t.values.map(h=>h.mean),[p,u]=[Math.min(...c),Math.max(...c)],[m,f]=[e.steps.length,s.length];B(()=>{let h=o.current?.
getContext("2d");if(h)for(let w of t.values)h.fillStyle=Tn(w.mean,p,u).color,h.fillRect(w.step,s.indexOf(w.layer),1,1)},
[t]);let d=h=>{let w=o.current.getBoundingClientRect(),b=Math.min(Math.floor((h.clientX-w.left)/w.width*m),m-1),x=Math.min(
Math.floor((h.clientY-w.top)/w.height*f),f-1),v=t.values.find(M=>M.step===b&&M.layer===s[x]);i(v?`${l[x]}, step ${b+1}: ${ue(
v.mean,n)}`:"")};return r("figure",{class:"large",children:[r("canvas",{ref:o,width:m,height:f,role:"img","aria-label":`${n.
title}, by layer and step. ${t.says}`,onMouseMove:d,onMouseLeave:()=>i("")}),r("figcaption",{class:"hint",children:["Lay\
ers down, steps to the right; dark is ",ue(p,n),", light ",ue(u,n),". ",a]})]})}function Rr({trace:e,series:t,quantity:n}){
let s=Math.max(...t.values.map(o=>Math.abs(o.mean)),1e-12);return r("table",{class:"bars",children:r("tbody",{children:t.
values.map(o=>r("tr",{children:[r("th",{scope:"row",children:["step ",(e.steps[o.step]?.index??0)+1]}),r("td",{children:[
r("span",{class:"bar",style:{width:`${Math.abs(o.mean)/s*100}%`}}),r("span",{children:ue(o.mean,n)})]})]},o.step))})})}function Jr({
places:e,picture:t}){let n=p=>{let u=p.filter(m=>m!==null);return(u[0]??[]).map((m,f)=>u.reduce((d,h)=>d+(h[f]??0),0)/Math.
max(u.length,1))},[s,o]=[n(e.by_row),n(e.by_column)],a=Math.max(...s,...o,1e-12),i=s.indexOf(Math.max(...s)),l=(p,u,m)=>m[Math.
min(Math.floor(p/u*3),2)],c=`Guidance moves the ${l(i,s.length,["upper","middle","lower"])} part of the picture most, an\
d its ${l(o.indexOf(Math.max(...o)),o.length,["left","middle","right"])} part.`;return r("article",{class:"panel places",
children:[r("h4",{children:"Where in the picture"}),r("p",{children:c}),r("div",{class:"frame",role:"img","aria-label":c,
children:[r("img",{src:t.url,alt:""}),r("div",{class:"rows",children:s.map((p,u)=>r("span",{style:{width:`${p/a*100}%`}},
u))}),r("div",{class:"columns",children:o.map((p,u)=>r("span",{style:{height:`${p/a*100}%`}},u))})]}),r("p",{class:"hint",
children:"How far guidance moves the attention output, by row and column of the latents, over all steps and layers."})]})}function $n(){let e=_(E);_(ie);let t=_(H),n=e?.kind==="set"?t.find(o=>o.id===e.id):void 0,s=e?.kind==="picture"?Y(e.id):
void 0;return r("section",{id:"stage",class:"stage","aria-label":"Result",tabIndex:-1,children:n?r(Fr,{set:n},n.id):s?r(
Dr,{picture:s},s.id):r(Or,{})})}function Or(){return r("div",{class:"empty",children:[r("svg",{viewBox:"0 0 220 110",width:"\
220",height:"110","aria-hidden":"true",focusable:"false",children:[r("rect",{x:"6",y:"8",width:"94",height:"94",rx:"16",
class:"ghost"}),r("rect",{x:"120",y:"8",width:"94",height:"94",rx:"16",class:"ghost lit"}),r("path",{d:"M110 0v110",class:"\
divider"}),r("circle",{cx:"110",cy:"55",r:"11",class:"knob"})]}),r("h2",{children:"One seed, without and with guidance"}),
r("p",{children:"The prompt is filled in. Make both pictures, and move the divider between them to see what the negative\
 prompt took away."}),r("button",{type:"button",class:"primary",onClick:()=>{ce()},children:"Make the first pictures"})]})}
function Et(e,t){let n=t.get(e.job);return{job:n,picture:n?.images.find(s=>s.index===e.index)}}function Fr({set:e}){let t=_(
O),n=[...new Set(e.cells.map(c=>c.job))];B(()=>{for(let c of n)t.has(c)||fe(c)},[e.id]);let s=n.map(c=>t.get(c)).filter(
c=>c!==void 0&&ae(c)),[o,a]=P(e.kind==="compare"?1:0),i=e.cells[Math.min(o,e.cells.length-1)],{picture:l}=i?Et(i,t):{picture:void 0};
return r(R,{children:[r("header",{class:"bar",children:[r("h2",{children:e.prompt}),s.length>0&&r("button",{type:"button",
class:"small",onClick:()=>{for(let c of s)be(c.id)},children:["Cancel",s.length>1?` all ${s.length}`:""]})]}),r(Ar,{ids:n}),
r("div",{class:e.cells.length<=2?"body":"body wide",children:[e.kind==="compare"&&e.cells.length===2?r(kn,{without:r(st,
{cell:e.cells[0]}),with:r(st,{cell:e.cells[1]}),labels:[e.cells[0].label,e.cells[1].label],ratio:Pn(e,t),most:$t(l)}):e.
cells.length===1?r("div",{class:"single",style:{"--most":$t(l),"--ratio":Pn(e,t)},children:r(st,{cell:e.cells[0]})}):r(Nr,
{set:e,focus:o,choose:a}),l&&r(En,{picture:l,compared:e.kind==="compare"})]})]})}function $t(e){return`${e?Math.min(Math.
max(e.width*3.5,320),1024):448}px`}function Pn(e,t){for(let n of e.cells){let{picture:s,job:o}=Et(n,t);if(s)return s.width/
s.height;let[a,i]=[Number(o?.request.width),Number(o?.request.height)];if(a>0&&i>0)return a/i}return 1}function Ar({ids:e}){
let t=_(O),n=e.map(o=>t.get(o)).filter(o=>o!==void 0),s=[...new Set(n.flatMap(o=>o.warnings??[]))];return r(R,{children:[
n.filter(o=>o.status==="failed").map(o=>r("p",{class:"error",role:"alert",children:o.error?.message},o.id)),s.map(o=>r("\
p",{class:"warning",children:o},o))]})}function st({cell:e,small:t=!1}){let{job:n,picture:s}=Et(e,_(O)),o=_(W).get(e.job);
if(s)return r("img",{class:"made",src:t?s.thumbnail_url:s.url,width:s.width,height:s.height,alt:Oe(s)});let a=o?.image===
e.index&&n!==void 0&&ae(n),i=n?n.status==="failed"?"Failed":n.status==="cancelled"?"Cancelled":a&&o.count>0?`Step ${o.index}\
 of ${o.count}`:n.status==="running"?a?"Reading the prompt":"Next":Rt(n):"No longer kept";return r("div",{class:`making ${n&&
ae(n)?"live":"over"}`,children:[a&&o.preview&&r("img",{src:o.preview,alt:""}),r("span",{class:"state",children:[!t&&a&&o.
count>0&&r("progress",{max:o.count,value:o.index,"aria-label":e.label}),i]})]})}function Rt(e){let t=e.seconds??0,n=e.position?
`${e.position} before it`:"Next";return t>=2?`${n}, ${Math.round(t)} s`:n}function Oe(e){let t=e.parameters.negative_prompt;
return`${String(e.parameters.prompt??"A picture")}${t?`, not ${String(t)}`:""}, seed ${e.seed}`}function Nr({set:e,focus:t,
choose:n}){let s=Math.max(e.columns.length,1),o=l=>{let c=e.cells[l];return r("button",{type:"button",class:"cell","aria\
-pressed":l===t,onClick:()=>n(l),title:c.label,children:[r(st,{cell:c,small:!0}),r("span",{class:e.columns.length>0?"sr":
"label",children:c.label})]})},[,a]=P(0),i=l=>{let c=e.columns.length>0?s:1,p={ArrowLeft:-1,ArrowRight:1,ArrowUp:-c,ArrowDown:c}[l.
key],u=t+(p??0);p===void 0||u<0||u>=e.cells.length||(l.preventDefault(),n(u),a(u),l.currentTarget.querySelectorAll(".cel\
l")[u]?.focus())};return e.columns.length===0?r("div",{class:"seeds",onKeyDown:i,children:e.cells.map((l,c)=>r("div",{children:o(
c)},l.label))}):r("div",{class:"scroll",tabIndex:0,role:"region","aria-label":`Grid over ${e.axis}`,children:r("table",{
class:"grid",onKeyDown:i,children:[r("caption",{class:"sr",children:["Pictures by ",e.axis," and seed"]}),r("thead",{children:r(
"tr",{children:[r("th",{scope:"col",children:e.axis}),e.columns.map(l=>r("th",{scope:"col",children:l},l))]})}),r("tbody",
{children:e.rows.map((l,c)=>r("tr",{children:[r("th",{scope:"row",children:l}),e.columns.map((p,u)=>r("td",{children:o(c*
s+u)},p))]},l))})]})})}function Dr({picture:e}){let{ids:t}=_(N),n=t.indexOf(e.id),s=o=>{let a=t[n+o];a&&le(a)};return r(
R,{children:[r("header",{class:"bar",children:[r("h2",{children:String(e.parameters.prompt??"")}),r("span",{class:"pair",
children:[r("button",{type:"button",class:"plain","aria-label":"Newer picture",title:"Newer (←)",disabled:n<=0,onClick:()=>s(
-1),children:r($,{name:"back"})}),r("button",{type:"button",class:"plain","aria-label":"Older picture",title:"Older (→)",
disabled:n<0||n>=t.length-1,onClick:()=>s(1),children:r($,{name:"next"})})]})]}),r("div",{class:"body",children:[r("div",
{class:"single",style:{"--most":$t(e),"--ratio":e.width/e.height},children:r("img",{class:"made",src:e.url,width:e.width,
height:e.height,alt:Oe(e)})}),r(En,{picture:e})]})]})}var jr=/^(hopfield|entmax|anderson)\./;function En({picture:e,compared:t=!1}){
let n=Y(e.id)??e,{parameters:s}=n,[o,a]=P(!1),i=(n.findings??[]).filter(m=>!jr.test(m.quantity)).sort((m,f)=>+(m.rule===
void 0)-+(f.rule===void 0)),l=A(String(s.guidance??"none")),c=m=>String(s[m]??""),p=m=>{navigator.clipboard?.writeText(m).
then(()=>F("Copied."))},u=m=>{ye(s),g.change(m),ce(g.value)};return r(R,{children:[r("div",{class:"details",children:[r(
"div",{class:"actions",children:[r("button",{type:"button",onClick:()=>{ye(s),F("The settings are in the form.")},children:"\
Use these settings"}),!t&&l.length>0&&c("guidance")!==Re(g.value)&&r("button",{type:"button",onClick:()=>u({mode:"compar\
e"}),children:"Compare with plain"}),r("button",{type:"button",onClick:()=>u({mode:"seeds",count:4,seed:c("seed")}),children:"\
Vary the seed"}),r("span",{class:"tools",children:[r("button",{type:"button",class:"plain star","aria-pressed":n.starred,
"aria-label":"Star: keep this picture",title:"Star (.)",onClick:()=>{ot(n)},children:r($,{name:"star",filled:n.starred})}),
r("a",{class:"button plain",href:n.url,download:`attune-${n.seed}.${n.format}`,"aria-label":"Download",title:"Download",
children:r($,{name:"download"})}),r("button",{type:"button",class:"plain","aria-label":"Delete",title:"Delete",onClick:()=>_n(
n),children:r($,{name:"trash"})})]})]}),i.length>0&&r("section",{class:"did","aria-label":"What guidance did",children:[
r("h3",{children:"What guidance did"}),r("ul",{children:i.map(m=>r("li",{title:m.title,class:m.rule?"own":"",children:[m.
rule&&r("code",{children:A(m.rule)[0]?.name})," ",m.text]},`${m.rule} ${m.quantity}`))}),n.trace_url&&r("button",{type:"\
button",class:"small","aria-expanded":o,onClick:()=>a(!o),children:o?"Hide the trace":"Where and when: the trace"})]}),r(
"dl",{class:"facts",children:[c("negative_prompt")!==""&&r(R,{children:[r("dt",{children:"Not"}),r("dd",{children:c("neg\
ative_prompt")})]}),r("dt",{children:"Seed"}),r("dd",{children:[String(n.seed)," ",r("button",{type:"button",class:"plai\
n tiny","aria-label":"Copy the seed",title:"Copy",onClick:()=>p(String(n.seed)),children:r($,{name:"copy"})})]}),r("dt",
{children:"Size"}),r("dd",{children:[n.width," × ",n.height]}),r("dt",{children:"Steps"}),r("dd",{children:c("steps")}),
r("dt",{children:"Guidance"}),r("dd",{class:"mono",children:l.length===0?"none":Lr(c("guidance"))}),r("dt",{children:"Mo\
del"}),r("dd",{children:c("model")})]})]}),o&&n.trace_url&&r(Mn,{url:n.trace_url,picture:n})]})}function Lr(e){return A(
e).map(t=>{let n=S.value?.rules.find(o=>o.name===t.name),s=Object.entries(t.values).filter(([o,a])=>{let i=n?.parameters.
find(l=>l.name===o);return i?.kind==="number"||i?.default!==a&&a!=="all"});return s.length===0?t.name:`${t.name}: ${s.map(
([o,a])=>`${o} ${a}`).join(", ")}`}).join(" + ")}function Rn(){let e=ge(_(O)),t=_(W);if(e.length===0)return null;let n=s=>{let o=H.value.find(a=>a.cells.some(i=>i.job===
s));o?E.set({kind:"set",id:o.id}):F("This was asked for in another window.")};return r("section",{class:"queue card","ar\
ia-label":"Queue",children:[r("header",{class:"bar",children:[r("h2",{children:"Being made"}),e.length>1&&r("button",{type:"\
button",class:"small",onClick:()=>{if(confirm(`Cancel all ${e.length}?`))for(let s of e)be(s.id)},children:"Cancel all"})]}),
r("ul",{children:e.map(s=>{let o=t.get(s.id),a=s.count*Math.max(o?.count??1,1),i=o?o.image*o.count+o.index:s.images.length,
l=String(s.request.prompt);return r("li",{children:[r("button",{type:"button",class:"plain what",onClick:()=>n(s.id),children:l}),
r("span",{class:"hint",children:s.status==="running"?`${s.count>1?`${s.images.length} of ${s.count}, `:""}${o?`step ${o.
index} of ${o.count}`:"begins"}`:Rt(s)}),r("progress",{max:a,value:s.status==="running"?i:0,"aria-label":`Progress of ${l}`}),
r("button",{type:"button",class:"plain","aria-label":`Cancel ${l}`,title:"Cancel",onClick:()=>{be(s.id)},children:r($,{name:"\
close"})})]},s.id)})})]})}function Jn(){let{ids:e,more:t,starred:n}=_(N);_(ie);let s=_(E),o=de(null);return r("section",
{class:"gallery","aria-label":"Gallery",children:[r("header",{class:"bar",children:[r("h2",{children:"Pictures"}),r("spa\
n",{class:"pair",children:[r("button",{type:"button",class:"small","aria-pressed":n,onClick:()=>{N.change({starred:!n,ids:[]}),
Q()},children:[r($,{name:"star",filled:n})," Starred"]}),r("button",{type:"button",class:"small",onClick:()=>o.current?.
click(),children:[r($,{name:"open"})," Recall from a file"]}),r("input",{ref:o,type:"file",accept:"image/*",class:"sr",tabIndex:-1,
"aria-label":"A picture whose settings are recalled",onChange:a=>{let i=a.currentTarget.files?.[0];i&&Je(i),a.currentTarget.
value=""}})]})]}),e.length===0?r("p",{class:"hint",children:n?"No picture has a star.":"Pictures that are made appear he\
re, and stay. Drop one anywhere on the page to recall its settings."}):r("ul",{class:"thumbs",children:e.map(a=>{let i=Y(
a);return i&&r("li",{children:r("button",{type:"button","aria-current":s?.kind==="picture"&&s.id===a?"true":void 0,title:Oe(
i),onClick:()=>{le(a),document.querySelector("#stage")?.scrollIntoView({block:"nearest"})},children:[r("img",{src:i.thumbnail_url,
loading:"lazy",width:i.width,height:i.height,alt:Oe(i)}),i.starred&&r("span",{class:"mark",children:[r($,{name:"star",filled:!0}),
r("span",{class:"sr",children:"starred"})]})]})},a)})}),t&&r("button",{type:"button",class:"small",onClick:()=>{gn()},children:"\
Older pictures"})]})}var Fe=new T(K("theme")??"auto"),at=new T(!1),it=new T(!1),On=()=>{document.documentElement.dataset.theme=Fe.value,se("t\
heme",Fe.value)};Fe.watch(On);On();function Xr(){let e=_(S),t=_(Ge);return r(R,{children:[r("a",{class:"skip",href:"#sta\
ge",children:"To the result"}),r(Br,{}),e?r("main",{children:[r(yn,{}),r("div",{class:"right",children:[r($n,{}),r(Rn,{}),
r(Jn,{})]})]}):r("main",{class:"loading",children:t?r("p",{class:"error",role:"alert",children:[t," ",r("button",{type:"\
button",onClick:()=>{Ye()},children:"Try again"})]}):r("p",{class:"hint",children:"Asking the server…"})}),r(zr,{}),r(
Hr,{}),r(Wr,{}),r(qr,{})]})}function Br(){let e=_(S),t=_(Fe),n={auto:"light",light:"dark",dark:"auto"},s={auto:"auto",light:"\
sun",dark:"moon"};return r("header",{class:"top",children:[r("h1",{children:[r("img",{src:"/page/icon.svg",alt:"",width:28,
height:28})," Attune"]}),r("p",{class:"model",children:e?.status.default_model}),r("nav",{"aria-label":"Page",children:[
r("a",{class:"button plain",href:"/docs/api","aria-label":"The API",title:"The API",children:r($,{name:"code"})}),r("but\
ton",{type:"button",class:"plain","aria-label":`Colours: ${t}`,title:`Colours: ${t}`,onClick:()=>Fe.set(n[t]),children:r(
$,{name:s[t]})}),r("button",{type:"button",class:"plain","aria-label":"Keys",title:"Keys (?)",onClick:()=>it.set(!0),children:r(
$,{name:"help"})})]})]})}function zr(){let e=_($e);return r(R,{children:[r("div",{class:"toasts",role:"status",children:e&&
r("p",{class:"toast",children:[e.text,e.label&&r("button",{type:"button",onClick:()=>Ee(!0),children:e.label})]})}),r("d\
iv",{class:"sr","aria-live":"polite",children:_(nt)})]})}function Hr(){let[e,t]=P(!1);return B(()=>{let n=0,s=i=>i.dataTransfer?.
types.includes("Files")??!1,o=[["dragenter",i=>{s(i)&&(n++,t(!0))}],["dragleave",()=>{n=Math.max(n-1,0),t(n>0)}],["drago\
ver",i=>{s(i)&&i.preventDefault()}],["drop",i=>{n=0,t(!1);let l=i.dataTransfer?.files[0];l&&(i.preventDefault(),Je(l))}]];
for(let[i,l]of o)addEventListener(i,l);let a=i=>{let l=[...i.clipboardData?.files??[]].find(c=>c.type.startsWith("image/"));
l&&Je(l)};return addEventListener("paste",a),()=>{for(let[i,l]of o)removeEventListener(i,l);removeEventListener("paste",
a)}},[]),e?r("div",{class:"drop","aria-hidden":"true",children:r("p",{children:"Drop the picture to recall its settings"})}):
null}function Fn(e){let t=de(null);return B(()=>{e&&!t.current?.open&&t.current?.showModal(),!e&&t.current?.open&&t.current.
close()},[e]),t}var Ir=[["Ctrl or ⌘ + Enter","make what the form says"],["p","write the prompt"],["n","write the negat\
ive prompt"],["← →","the newer or older picture; the divider of a comparison"],["u","use the settings of the picture"],
[".","give the picture a star"],["?","these keys"],["Esc","close"]];function Wr(){let e=_(it),t=Fn(e);return r("dialog",
{ref:t,"aria-labelledby":"keys-title",onClose:()=>it.set(!1),children:[r("h2",{id:"keys-title",children:"Keys"}),r("dl",
{class:"keys",children:Ir.map(([n,s])=>r("div",{children:[r("dt",{children:r("kbd",{children:n})}),r("dd",{children:s})]},
n))}),r("form",{method:"dialog",children:r("button",{children:"Close"})})]})}function qr(){let e=_(at),t=Fn(e),[n,s]=P(""),
[o,a]=P(""),i=async()=>{try{await Me("/api/session",{key:n}),a(""),s(""),at.set(!1),await Ye()}catch(l){a(l instanceof z&&
l.status===401?"The server does not know this key.":X(l))}};return r("dialog",{ref:t,"aria-labelledby":"key-title",onClose:()=>at.
set(!1),children:r("form",{onSubmit:l=>{l.preventDefault(),i()},children:[r("h2",{id:"key-title",children:"This server w\
ants an API key"}),r("label",{children:[r("span",{class:"name",children:"Key"}),r("input",{type:"password",autocomplete:"\
off",value:n,onInput:l=>s(l.currentTarget.value)})]}),r("div",{role:"alert",children:o&&r("p",{class:"error",children:o})}),
r("button",{class:"primary",children:"Open"})]})})}addEventListener("keydown",e=>{if(e.key==="Enter"&&(e.ctrlKey||e.metaKey)){
e.preventDefault(),S.value&&ce();return}let t=e.target;if(e.ctrlKey||e.metaKey||e.altKey||document.querySelector("dialog\
[open]"))return;if(t.matches("textarea, select, input:not([type=checkbox]):not([type=radio])")){e.key==="Escape"&&t.blur();
return}let n=E.value?.kind==="picture"?Y(E.value.id):void 0,s=i=>{if(!n||t.matches("input, .scroll, .cell"))return;let{ids:l}=N.
value,c=l[l.indexOf(n.id)+i];c&&le(c)},a={"?":()=>it.set(!0),p:()=>document.querySelector("#prompt")?.focus(),n:()=>document.
querySelector("#negative")?.focus(),u:()=>{n&&(ye(n.parameters),F("The settings are in the form."))},".":()=>{n&&ot(n)},
ArrowLeft:()=>s(-1),ArrowRight:()=>s(1)}[e.key];a&&(e.key.startsWith("Arrow")||e.preventDefault(),a())});an(()=>at.set(!0));
qt(r(Xr,{}),document.querySelector("#app"));Ye();
